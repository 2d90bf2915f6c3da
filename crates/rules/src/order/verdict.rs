//! The one rule, and what it makes of an operation.
//!
//! **The resources table only ever moves up**: a resource is replaced only by a newer
//! operation. The `tables` crate states the same rule as DynamoDB condition
//! expressions; a contract test holds the two together.

use crate::outcome::Outcome;
use crate::{Operation, OperationId, Precondition, Problem, ProblemType};

/// What becomes of an operation that meets a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An earlier call of it landed.
    Landed,
    /// It may be written.
    Write,
    /// It may not be written.
    Refused(Refusal),
}

/// Why an operation may not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its precondition is false.
    PreconditionFailed {
        /// What the resource was at; `None` if there is none, or it was not looked at.
        stored: Option<OperationId>,
    },
    /// A newer operation won.
    Superseded,
}

impl Operation {
    /// Whether it may replace the resource at `stored`, or create it.
    #[must_use]
    pub fn may_replace(&self, stored: Option<OperationId>) -> bool {
        self.precondition.holds(stored) && stored.is_none_or(|stored| stored < self.id)
    }

    /// Judges it against the version that is stored.
    #[must_use]
    pub fn judge(&self, stored: Option<OperationId>) -> Verdict {
        if stored == Some(self.id) {
            Verdict::Landed
        } else if !self.precondition.holds(stored) {
            Verdict::Refused(Refusal::PreconditionFailed { stored })
        } else if self.may_replace(stored) {
            Verdict::Write
        } else {
            Verdict::Refused(Refusal::Superseded)
        }
    }
}

impl Refusal {
    /// The outcome to store of an operation with this precondition that is refused for this.
    #[must_use]
    pub fn outcome(self, precondition: &Precondition) -> Outcome {
        match self {
            Self::Superseded => Outcome::Superseded,
            Self::PreconditionFailed { .. } => Outcome::failed(&self.problem(precondition)),
        }
    }

    /// The problem to answer with, for an operation with this precondition.
    #[must_use]
    pub fn problem(self, precondition: &Precondition) -> Problem {
        match self {
            Self::PreconditionFailed { stored } => precondition.problem_at(stored),
            Self::Superseded => {
                let detail = "A newer PUT was stored first, so nothing was written; read the resource, and send a new PUT if it still applies.";
                Problem::new(ProblemType::Superseded, detail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Precondition, ResourceId, Tick};

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix_ms(ms), 1)
    }

    #[test]
    fn verdicts_in_their_order() {
        use Refusal::*;
        use Verdict::*;
        let false_at = |stored| Refused(PreconditionFailed { stored });
        let none = Precondition::None;
        let at_1 = Precondition::OneOf(vec![id(1)]);
        for (precondition, stored, expected) in [
            (&none, Some(id(5)), Landed),
            (&at_1, Some(id(5)), Landed),
            (&at_1, Some(id(9)), false_at(Some(id(9)))),
            (&at_1, None, false_at(None)),
            (&at_1, Some(id(1)), Write),
            (&Precondition::Absent, Some(id(1)), false_at(Some(id(1)))),
            (&Precondition::Absent, None, Write),
            (&Precondition::Exists, None, false_at(None)),
            (&Precondition::Exists, Some(id(9)), Refused(Superseded)),
            (&none, Some(id(9)), Refused(Superseded)),
            (&none, Some(id(11_000)), Refused(Superseded)),
            (&none, Some(id(4)), Write),
            (&none, None, Write),
        ] {
            let (precondition, resource) = (precondition.clone(), ResourceId::new("42").unwrap());
            let operation = Operation::new(id(5), resource, precondition, "{}".to_owned());
            assert_eq!(operation.judge(stored), expected, "{operation:?} {stored:?}");
            assert_eq!(operation.may_replace(stored), expected == Write, "{stored:?}");
        }
    }

    /// A final refusal is never told as a 503, which would be sent again.
    #[test]
    fn every_refusal_is_a_4xx() {
        let is_false = Refusal::PreconditionFailed { stored: None };
        for refusal in [is_false, Refusal::Superseded] {
            let problem = refusal.problem(&Precondition::Exists);
            assert!(problem.problem_type().status().is_client_error(), "{refusal:?}");
        }
    }
}
