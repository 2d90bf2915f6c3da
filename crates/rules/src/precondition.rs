//! What must be true of the stored resource (RFC 9110 section 13).

use crate::{OperationId, Problem, ProblemType};

/// What must be true of the stored resource for a PUT to replace it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// `If-Match: *`: there is a resource.
    Exists,
    /// `If-Match` with a list: the resource is at one of these ids. Tags that are no
    /// operation ids match nothing and are left out.
    OneOf(Vec<OperationId>),
    /// `If-None-Match: *`: there is no resource.
    Absent,
}

impl Precondition {
    /// Whether it is true of a resource at `stored`, or of no resource.
    #[must_use]
    pub fn holds(&self, stored: Option<OperationId>) -> bool {
        match self {
            Self::None => true,
            Self::Exists => stored.is_some(),
            Self::OneOf(tags) => stored.is_some_and(|stored| tags.contains(&stored)),
            Self::Absent => stored.is_none(),
        }
    }

    /// Whether it is true of a resource at `stored`, or of no resource, or may become so: a resource
    /// only ever moves up, and is never deleted.
    #[must_use]
    pub fn may_come_true(&self, stored: Option<OperationId>) -> bool {
        match self {
            Self::None | Self::Exists => true,
            Self::OneOf(tags) => tags.iter().any(|tag| Some(*tag) >= stored),
            Self::Absent => stored.is_none(),
        }
    }

    /// The problem to answer with where it is false of a resource at `stored`; `None` if there is
    /// no resource, or it was not looked at.
    #[must_use]
    pub fn problem_at(&self, stored: Option<OperationId>) -> Problem {
        let (field, reason) = match (self, stored) {
            (Self::Absent, _) => ("If-None-Match", "it is *, and the resource exists"),
            (Self::Exists, _) => ("If-Match", "it is *, and the resource does not exist"),
            (_, Some(_)) => ("If-Match", "the resource is at another version"),
            (_, None) => ("If-Match", "it names no version of the resource"),
        };
        let detail = format!(
            "{field} is false: {reason}, so nothing was written; read the resource, and send a new PUT if it still applies."
        );
        let problem = Problem::new(ProblemType::PreconditionFailed, detail).field(field);
        match stored {
            Some(stored) => problem.etag(stored),
            None => problem,
        }
    }

    /// Whether it can be true of no resource at all.
    #[must_use]
    pub fn is_never_true(&self) -> bool {
        matches!(self, Self::OneOf(tags) if tags.is_empty())
    }
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
        let at = |ms| Some(id(ms));
        let one_of = |ms: &[u64]| Precondition::OneOf(ms.iter().map(|ms| id(*ms)).collect());
        assert!(one_of(&[1, 5]).may_come_true(at(5)));
        assert!(one_of(&[1, 5]).may_come_true(None));
        assert!(!one_of(&[1, 4]).may_come_true(at(5)));
        assert!(Precondition::Absent.may_come_true(None));
        assert!(!Precondition::Absent.may_come_true(at(1)));
        assert!(Precondition::Exists.may_come_true(None) && Precondition::None.may_come_true(None));
    }
}
