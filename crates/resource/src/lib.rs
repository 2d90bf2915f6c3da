//! The resource of this service: users. **Edit this crate to serve a resource of your own**;
//! docs/make-it-yours.md shows how.

use lambda_shell::environment::Invalid;
use rules::Resource;
use rules::resource::Example;

/// The resource that the functions serve.
pub use Users as Served;

/// The users. Any JSON object is valid, and no update runs before a write.
#[derive(Debug)]
pub struct Users {}

impl Users {
    /// Creates the resource when the function starts. It may read settings from the environment and
    /// create clients of other services; this resource needs neither.
    ///
    /// # Errors
    /// [`Invalid`] if a variable of the environment is missing or has no valid value.
    pub fn from_environment() -> Result<Self, Invalid> {
        Ok(Self {})
    }
}

impl Resource for Users {
    const PATH: &'static str = "/users/{id}";
    const OWNER: &'static str = "id";
    const EXAMPLE: Example = Example {
        parameters: &["ada"],
        body: r#"{"name": "Ada VALUE", "languages": ["en", "fr"]}"#,
    };
}
