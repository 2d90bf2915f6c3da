//! Preconditions on the stored resource (RFC 9110 section 13).

use crate::{OperationId, Problem, ProblemType, Version};

/// The condition that the stored resource must meet, for an operation to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// `If-Match: *`: the resource exists.
    Exists,
    /// `If-Match` with a list: the resource has one of these ids. Tags that are not operation ids
    /// match nothing and are left out.
    OneOf(Vec<OperationId>),
    /// `If-None-Match: *`: the resource does not exist.
    Absent,
}

impl Precondition {
    /// Whether it is true for the stored version. A tombstone is not a resource.
    #[must_use]
    pub fn holds(&self, stored: Option<Version>) -> bool {
        let live = live(stored);
        match self {
            Self::None => true,
            Self::Exists => live.is_some(),
            Self::OneOf(tags) => live.is_some_and(|live| tags.contains(&live)),
            Self::Absent => live.is_none(),
        }
    }

    /// Whether it is true for the stored version, or may become true before the operation `id` is
    /// superseded. Only newer versions can replace the stored one.
    #[must_use]
    pub fn may_come_true(&self, stored: Option<Version>, id: OperationId) -> bool {
        let written_by = stored.map(|stored| stored.written_by);
        match self {
            Self::None | Self::Exists => true,
            Self::OneOf(tags) => tags.iter().any(|tag| Some(*tag) >= written_by),
            // An older DELETE may still be queued.
            Self::Absent => live(stored).is_none_or(|live| live < id),
        }
    }

    /// The problem for a false precondition. `live` is the version of the resource; `None` if it
    /// does not exist or was not read.
    #[must_use]
    pub fn problem_at(&self, live: Option<OperationId>) -> Problem {
        let (field, reason) = match (self, live) {
            (Self::Absent, _) => ("If-None-Match", "it is *, but the resource exists"),
            (Self::Exists, _) => ("If-Match", "it is *, but the resource does not exist"),
            (_, Some(_)) => ("If-Match", "it does not name the resource's current version"),
            (_, None) => ("If-Match", "it does not name a version of the resource"),
        };
        let detail = format!(
            "{field} is false: {reason}, so nothing was written; read the resource, and send a new request if it still applies."
        );
        let problem = Problem::new(ProblemType::PreconditionFailed, detail).field(field);
        match live {
            Some(live) => problem.etag(live),
            None => problem,
        }
    }

    /// Whether it is false for every possible version.
    #[must_use]
    pub fn is_never_true(&self) -> bool {
        matches!(self, Self::OneOf(tags) if tags.is_empty())
    }
}

/// The operation that wrote the resource, if there is one.
pub(crate) fn live(stored: Option<Version>) -> Option<OperationId> {
    stored.filter(|stored| stored.is_live).map(|stored| stored.written_by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix_ms(ms), 1)
    }

    #[test]
    fn what_is_false_is_told_with_its_field_and_the_version_met() {
        let tag = format!("\"{}\"", id(2));
        let one_of = Precondition::OneOf(vec![id(1)]);
        for (precondition, stored, field) in [
            (&one_of, Some(id(2)), "If-Match"),
            (&one_of, None, "If-Match"),
            (&Precondition::Exists, None, "If-Match"),
            (&Precondition::Absent, Some(id(2)), "If-None-Match"),
        ] {
            let document = serde_json::to_value(precondition.problem_at(stored)).unwrap();
            assert_eq!(document["field"], field, "{document}");
            let etag = stored.map(|_| tag.as_str());
            assert_eq!(document.get("etag").and_then(|etag| etag.as_str()), etag, "{document}");
        }
    }

    #[test]
    fn only_what_names_no_operation_is_never_true() {
        assert!(Precondition::OneOf(Vec::new()).is_never_true());
        for precondition in [
            Precondition::None,
            Precondition::Exists,
            Precondition::Absent,
            Precondition::OneOf(vec![id(1)]),
        ] {
            assert!(!precondition.is_never_true(), "{precondition:?}");
        }
    }

    #[test]
    fn a_resource_only_moves_up_which_some_preconditions_cannot_follow() {
        let version = |ms, is_live| Some(Version { written_by: id(ms), created_by: None, is_live });
        let one_of = |ms: &[u64]| Precondition::OneOf(ms.iter().map(|ms| id(*ms)).collect());
        for (precondition, stored, expected) in [
            (one_of(&[1, 5]), version(5, true), true),
            (one_of(&[1, 5]), None, true),
            (one_of(&[1, 4]), version(5, true), false),
            (Precondition::Absent, None, true),
            (Precondition::Absent, version(9, false), true),
            (Precondition::Absent, version(7, true), false),
            (Precondition::Absent, version(9, true), false),
            // An older DELETE may be queued.
            (Precondition::Absent, version(6, true), true),
            (Precondition::Exists, None, true),
            (Precondition::None, None, true),
        ] {
            let may_come_true = precondition.may_come_true(stored, id(7));
            assert_eq!(may_come_true, expected, "{precondition:?} {stored:?}");
        }
    }
}
