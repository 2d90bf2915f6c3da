//! The resource that this service serves: users. **This is the crate to edit for a resource
//! of your own**; docs/make-it-yours.md says how.

use lambda_shell::environment::Invalid;
use rules::Resource;
use rules::resource::Example;

/// The resource that the functions serve.
pub use Users as Served;

/// The users: any JSON object, and nothing to do before a write.
#[derive(Debug)]
pub struct Users {}

impl Users {
    /// The resource with the settings in the function's environment: clients of other
    /// services, made once when the function starts. Today it needs none.
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
