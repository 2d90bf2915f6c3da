//! What a PUT asks for.

pub mod accept;
pub mod key;
pub mod precondition;
pub mod prefer;
pub mod resource_id;
