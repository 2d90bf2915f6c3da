//! The resource of this service: users. **Edit this crate to serve a resource of your own**;
//! docs/make-it-yours.md shows how.

use lambda_shell::environment::Invalid;
use rules::Resource;
use rules::resource::Example;

/// The resource that the functions serve.
pub use Users as Served;

/// The users: any JSON object, and nothing to do before a write.
#[derive(Debug)]
pub struct Users {}

impl Users {
    /// Makes the resource when the function starts, with settings from its environment, such as
    /// clients of other services. This resource needs none.
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
