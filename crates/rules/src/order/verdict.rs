//! The one rule, and its verdict on an operation.
//!
//! **The resources table only ever moves up**: only a newer operation replaces an item. The
//! `tables` crate states the same rule as DynamoDB condition expressions; a contract test compares
//! the two.

use crate::outcome::Outcome;
use crate::precondition::live;
use crate::{Operation, OperationId, Precondition, Problem, ProblemType, Version};

/// The verdict on an operation, given the stored version.
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
        /// The version of the resource; `None` if it does not exist or was not read.
        live: Option<OperationId>,
    },
    /// A newer operation won.
    Superseded,
}

impl Operation {
    /// Whether it may replace the stored version.
    #[must_use]
    pub fn may_replace(&self, stored: Option<Version>) -> bool {
        self.precondition.holds(stored) && stored.is_none_or(|stored| stored.written_by < self.id)
    }

    /// Judges it against the stored version.
    #[must_use]
    pub fn judge(&self, stored: Option<Version>) -> Verdict {
        if stored.is_some_and(|stored| stored.written_by == self.id) {
            Verdict::Landed
        } else if !self.precondition.holds(stored) {
            Verdict::Refused(Refusal::PreconditionFailed { live: live(stored) })
        } else if self.may_replace(stored) {
            Verdict::Write
        } else {
            Verdict::Refused(Refusal::Superseded)
        }
    }
}

impl Refusal {
    /// The outcome to record for an operation with this precondition.
    #[must_use]
    pub fn outcome(self, precondition: &Precondition) -> Outcome {
        match self {
            Self::Superseded => Outcome::Superseded,
            Self::PreconditionFailed { .. } => Outcome::failed(&self.problem(precondition)),
        }
    }

    /// The problem for an operation with this precondition.
    #[must_use]
    pub fn problem(self, precondition: &Precondition) -> Problem {
        match self {
            Self::PreconditionFailed { live } => precondition.problem_at(live),
            Self::Superseded => {
                let detail = "A newer PUT or DELETE was stored first, so nothing was written; read the resource, and send a new request if it still applies.";
                Problem::new(ProblemType::Superseded, detail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, Precondition, ResourceId, Tick};

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix_ms(ms), 1)
    }

    #[test]
    fn verdicts_in_their_order() {
        use Refusal::*;
        use Verdict::*;
        let false_at = |live: Option<u64>| Refused(PreconditionFailed { live: live.map(id) });
        let version = |ms, is_live| Some(Version { written_by: id(ms), created_by: None, is_live });
        let (live, tombstone) = (|ms| version(ms, true), |ms| version(ms, false));
        let none = Precondition::None;
        let (exists, absent) = (Precondition::Exists, Precondition::Absent);
        let at_1 = Precondition::OneOf(vec![id(1)]);
        for (precondition, stored, expected) in [
            (&none, live(5), Landed),
            (&at_1, live(5), Landed),
            (&at_1, tombstone(5), Landed),
            (&at_1, live(9), false_at(Some(9))),
            (&at_1, None, false_at(None)),
            (&at_1, live(1), Write),
            (&at_1, tombstone(1), false_at(None)),
            (&absent, live(1), false_at(Some(1))),
            (&absent, live(9), false_at(Some(9))),
            (&absent, tombstone(1), Write),
            (&absent, tombstone(9), Refused(Superseded)),
            (&absent, None, Write),
            (&exists, None, false_at(None)),
            (&exists, tombstone(1), false_at(None)),
            (&exists, tombstone(9), false_at(None)),
            (&exists, live(1), Write),
            (&exists, live(9), Refused(Superseded)),
            (&none, live(9), Refused(Superseded)),
            (&none, tombstone(9), Refused(Superseded)),
            (&none, tombstone(4), Write),
            (&none, live(11_000), Refused(Superseded)),
            (&none, live(4), Write),
            (&none, None, Write),
        ] {
            for change in [Change::Put("{}".to_owned()), Change::Delete] {
                let resource = ResourceId::new("42").unwrap();
                let operation = Operation::new(id(5), resource, precondition.clone(), change);
                assert_eq!(operation.judge(stored), expected, "{operation:?} {stored:?}");
                assert_eq!(operation.may_replace(stored), expected == Write, "{stored:?}");
            }
        }
    }

    /// A final refusal is never reported as a 503, since the client would send it again.
    #[test]
    fn every_refusal_is_a_4xx() {
        let is_false = Refusal::PreconditionFailed { live: None };
        for refusal in [is_false, Refusal::Superseded] {
            let problem = refusal.problem(&Precondition::Exists);
            assert!(problem.problem_type().status().is_client_error(), "{refusal:?}");
        }
    }
}
