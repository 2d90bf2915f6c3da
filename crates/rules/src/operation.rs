//! The operation: one PUT or DELETE that is to be carried out, in whatever way.

use crate::{OperationId, Precondition, ResourceId};

/// One PUT or DELETE that is to be carried out: made once, by `put`, then written or queued,
/// and the same wherever it is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Identity, place in the order, version and idempotency token.
    pub id: OperationId,
    /// The id that the operation was made with. Stepping over a newer version changes `id`,
    /// never this: [`Resource::update`](crate::Resource::update) is idempotent by it.
    pub origin: OperationId,
    /// The resource that it replaces or deletes.
    pub resource: ResourceId,
    /// What must be true of the stored resource.
    pub precondition: Precondition,
    /// What it makes of the resource.
    pub change: Change,
}

/// What an operation makes of its resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A PUT: the resource has this body.
    Put(String),
    /// A DELETE: there is no resource.
    Delete,
}

/// The method of an operation (RFC 9110 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
}

/// The version of a stored item: of a resource, or of the tombstone that a DELETE leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The operation that wrote the body, or deleted it.
    pub written_by: OperationId,
    /// The operation that created the resource; it does not change until the resource is
    /// deleted. Absent from tombstones, and from items that something else than this service
    /// wrote.
    pub created_by: Option<OperationId>,
    /// Whether there is a resource, and not a tombstone.
    pub is_live: bool,
}

impl Operation {
    /// An operation made with this id.
    #[must_use]
    pub fn new(
        id: OperationId,
        resource: ResourceId,
        precondition: Precondition,
        change: Change,
    ) -> Self {
        Self { id, origin: id, resource, precondition, change }
    }

    /// A PUT of this body, made with this id.
    #[must_use]
    pub fn put(
        id: OperationId,
        resource: ResourceId,
        precondition: Precondition,
        body: String,
    ) -> Self {
        Self::new(id, resource, precondition, Change::Put(body))
    }

    /// The method of the request.
    #[must_use]
    pub fn method(&self) -> Method {
        match self.change {
            Change::Put(_) => Method::Put,
            Change::Delete => Method::Delete,
        }
    }

    /// The new body; none of a DELETE.
    #[must_use]
    pub fn body(&self) -> Option<&str> {
        match &self.change {
            Change::Put(body) => Some(body),
            Change::Delete => None,
        }
    }

    /// Whether it has a precondition.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.precondition != Precondition::None
    }
}

impl Method {
    /// Its name in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}
