//! What the clients of one resource sent and heard.

use std::collections::HashMap;
use std::time::Duration;

use rules::Method;

/// What must be true of the stored resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// `If-Match` with these entity tags, without their quotes.
    Match(Vec<String>),
    /// `If-Match: *`
    Exists,
    /// `If-None-Match: *`
    Absent,
}

/// How a PUT or DELETE is to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Awaited.
    Inline,
    /// Queued.
    Deferred,
    /// Awaited for so many seconds.
    Wait(u8),
}

/// An answer to a PUT or DELETE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 or 201: written.
    Written {
        /// The entity tag, which is the operation id.
        etag: String,
        /// Whether it says that there was no such resource.
        created: bool,
    },
    /// 204: deleted.
    Deleted,
    /// 202: queued, or written and not known whether there was no such resource.
    Accepted {
        /// Whether its status is `succeeded`.
        is_written: bool,
        /// The operation id.
        operation: String,
        /// The path of its status.
        location: String,
    },
    /// 412.
    PreconditionFailed,
    /// 409 and other refusals for good, by the problem's type.
    Refused(String),
    /// 503 that says that nothing was written, by the problem's type.
    NotWritten(String),
    /// 503 `outcome-unknown`.
    OutcomeUnknown,
    /// The gateway's own error.
    None,
    /// An answer that no request of this soak should get.
    Unexpected(String),
}

/// One sending of a PUT or DELETE.
#[derive(Clone, Debug)]
pub struct Sending {
    /// How it was to be carried out.
    pub mode: Mode,
    /// When it was sent.
    pub sent: Duration,
    /// When it was answered.
    pub answered: Duration,
    /// The answer.
    pub answer: Answer,
}

/// What a status document said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// `pending`
    Pending,
    /// `stalled`, or `failed` with `provisional`
    Stalled,
    /// `succeeded`, with the entity tag, which a DELETE has not
    Succeeded(Option<String>),
    /// `superseded`
    Superseded,
    /// `cancelled`
    Cancelled,
    /// No status, but 409 `already-decided` to a cancel: it has one that is final.
    AlreadyDecided,
    /// `failed` for good, with the problem's type
    Failed(String),
    /// Anything else.
    Unexpected(String),
}

impl Status {
    /// Whether it may never change.
    #[must_use]
    pub fn is_final(&self) -> bool {
        use Status::{AlreadyDecided, Pending, Stalled, Unexpected};
        !matches!(self, Pending | Stalled | AlreadyDecided | Unexpected(_))
    }

    /// Whether `later` may follow it, at once or after others.
    #[must_use]
    pub fn may_precede(&self, later: &Self) -> bool {
        match (self, later) {
            (_, Self::AlreadyDecided) => *self != Self::Cancelled,
            (Self::AlreadyDecided, _) => later.is_final() && *later != Self::Cancelled,
            _ => !self.is_final() || self == later,
        }
    }
}

/// One sending of a cancel.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// When it was sent.
    pub sent: Duration,
    /// The answer, as the account counts it.
    pub answer: String,
}

/// One PUT or DELETE, however often it was sent.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which of them it is.
    pub method: Method,
    /// What its writes are known by, which is no other's: the body of a PUT, the id of the
    /// request for a DELETE.
    pub mark: String,
    /// Its precondition.
    pub condition: Condition,
    /// Whether it has an Idempotency-Key.
    pub is_keyed: bool,
    /// Its sendings.
    pub sendings: Vec<Sending>,
    /// What its status was, and when that was heard.
    pub statuses: Vec<(Duration, Status)>,
    /// The sendings of its cancel.
    pub cancels: Vec<Cancel>,
}

/// A version of the resource: entity tag and body.
pub type Version = (String, String);

/// A GET that was answered.
#[derive(Clone, Debug)]
pub struct Get {
    /// When it was sent.
    pub sent: Duration,
    /// When it was answered.
    pub answered: Duration,
    /// What it showed.
    pub seen: Option<Version>,
}

/// What is stored of a resource.
pub use crate::rig::engine::Stored;
/// A write that took effect, as the wire saw it.
pub use crate::rig::watch::Landed;

/// All that is known of one resource.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// The resource.
    pub resource: String,
    /// Every PUT and DELETE.
    pub changes: Vec<Change>,
    /// Every GET.
    pub gets: Vec<Get>,
    /// Every write that took effect.
    pub landed: Vec<Landed>,
    /// What is stored at the end.
    pub stored: Option<Stored>,
    /// What went wrong beside it.
    pub troubles: Vec<String>,
}

/// What is known to have become of a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It took effect, no later than this.
    Written(Duration),
    /// It did not: its precondition was false at a time no later than this.
    PreconditionFailed(Duration),
    /// It did not, and never will.
    Never,
    /// It did not, since it was cancelled, as was heard then.
    Cancelled(Duration),
    /// Nobody can tell.
    Open,
}

impl Change {
    /// When it was sent first.
    #[must_use]
    pub fn sent(&self) -> Duration {
        self.sendings.iter().map(|sending| sending.sent).min().unwrap_or_default()
    }

    /// When its operation's place in the order was settled, as far as a client can tell:
    /// at the first answer that shows that the service knew of it, or else when nobody
    /// was sending it any more.
    #[must_use]
    pub fn settled(&self) -> Duration {
        let ends = self.sendings.iter().map(|sending| (&sending.answer, sending.answered));
        let known = ends.clone().filter(|(answer, _)| {
            !matches!(answer, Answer::OutcomeUnknown | Answer::NotWritten(_) | Answer::None)
        });
        let last = ends.map(|(_, at)| at).max();
        known.map(|(_, at)| at).min().or(last).unwrap_or_default()
    }

    /// Every claim about its fate, in the words of whoever made it.
    #[must_use]
    pub fn claims(&self) -> Vec<(Fate, String)> {
        let answers = self.sendings.iter().map(|sending| {
            let at = sending.answered;
            let fate = match &sending.answer {
                Answer::Written { .. }
                | Answer::Deleted
                | Answer::Accepted { is_written: true, .. } => Fate::Written(at),
                Answer::PreconditionFailed => Fate::PreconditionFailed(at),
                Answer::Refused(problem) if problem == "cancelled" => Fate::Cancelled(at),
                Answer::Refused(_) | Answer::NotWritten(_) => Fate::Never,
                Answer::Accepted { .. }
                | Answer::OutcomeUnknown
                | Answer::None
                | Answer::Unexpected(_) => Fate::Open,
            };
            (fate, format!("answer {:?}", sending.answer))
        });
        let statuses = self.statuses.iter().map(|(at, status)| {
            let fate = match status {
                Status::Succeeded(_) => Fate::Written(*at),
                Status::Failed(problem) if problem == "precondition-failed" => {
                    Fate::PreconditionFailed(*at)
                }
                Status::Superseded | Status::Failed(_) => Fate::Never,
                Status::Cancelled => Fate::Cancelled(*at),
                Status::Pending
                | Status::Stalled
                | Status::AlreadyDecided
                | Status::Unexpected(_) => Fate::Open,
            };
            (fate, format!("status {status:?}"))
        });
        answers.chain(statuses).filter(|(fate, _)| *fate != Fate::Open).collect()
    }

    /// What is known to have become of it, by the first who told.
    #[must_use]
    pub fn fate(&self) -> Fate {
        let fates = self.claims().into_iter().map(|(fate, _)| fate);
        let time = |fate: &Fate| match fate {
            Fate::Written(at) | Fate::PreconditionFailed(at) | Fate::Cancelled(at) => *at,
            Fate::Never | Fate::Open => Duration::MAX,
        };
        fates.min_by_key(time).unwrap_or(Fate::Open)
    }

    /// Every operation id that it was told.
    #[must_use]
    pub fn operations(&self) -> Vec<&str> {
        let answers = self.sendings.iter().filter_map(|sending| match &sending.answer {
            Answer::Written { etag, .. } => Some(etag.as_str()),
            Answer::Accepted { operation, .. } => Some(operation.as_str()),
            _ => None,
        });
        let statuses = self.statuses.iter().filter_map(|(_, status)| match status {
            Status::Succeeded(etag) => etag.as_deref(),
            _ => None,
        });
        answers.chain(statuses).collect()
    }
}

impl Story {
    /// The number of each mark, from 1 on.
    #[must_use]
    pub fn numbers(&self) -> HashMap<&str, u32> {
        let marks = self.changes.iter().map(|change| change.mark.as_str());
        marks.zip(1..).collect()
    }
}
