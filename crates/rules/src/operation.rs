//! The operation: one PUT or DELETE to carry out, now or later.

use crate::{OperationId, Precondition, ResourceId};

/// One PUT or DELETE to carry out. `put` makes it once, then writes or queues it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its identity, place in the order, version and idempotency token.
    pub id: OperationId,
    /// The first id of the operation. A step over a newer version changes `id`, but never this,
    /// which is the idempotency token of [`Resource::update`](crate::Resource::update).
    pub origin: OperationId,
    /// The resource that it replaces or deletes.
    pub resource: ResourceId,
    /// The precondition on the stored resource.
    pub precondition: Precondition,
    /// The change to the resource.
    pub change: Change,
}

/// The change that an operation makes to its resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A PUT: afterwards the resource has this body.
    Put(String),
    /// A DELETE: afterwards the resource does not exist.
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
    /// The operation that created the resource. It does not change until the resource is deleted.
    /// Tombstones do not have it, nor do items that another service wrote.
    pub created_by: Option<OperationId>,
    /// Whether this is a resource and not a tombstone.
    pub is_live: bool,
}

impl Operation {
    /// A new operation with this id.
    #[must_use]
    pub fn new(
        id: OperationId,
        resource: ResourceId,
        precondition: Precondition,
        change: Change,
    ) -> Self {
        Self { id, origin: id, resource, precondition, change }
    }

    /// A new PUT of this body, with this id.
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

    /// The new body; `None` for a DELETE.
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
