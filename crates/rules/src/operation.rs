//! The operation: one PUT that is to be carried out, in whatever way.

use crate::{OperationId, Precondition, ResourceId};

/// One PUT that is to be carried out: made once, by `put`, then written or queued, and
/// the same wherever it is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Identity, place in the order, version and idempotency token.
    pub id: OperationId,
    /// The id that the operation was made with. Stepping over a newer version changes `id`,
    /// never this: [`Resource::update`](crate::Resource::update) is idempotent by it.
    pub origin: OperationId,
    /// The resource that it replaces.
    pub resource: ResourceId,
    /// What must be true of the stored resource.
    pub precondition: Precondition,
    /// The new body.
    pub body: String,
}

/// The version of a stored resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The operation that wrote the body.
    pub written_by: OperationId,
    /// The operation that created the resource; it never changes. Absent from items that
    /// something else than this service wrote.
    pub created_by: Option<OperationId>,
}

impl Operation {
    /// An operation made with this id.
    #[must_use]
    pub fn new(
        id: OperationId,
        resource: ResourceId,
        precondition: Precondition,
        body: String,
    ) -> Self {
        Self { id, origin: id, resource, precondition, body }
    }
}
