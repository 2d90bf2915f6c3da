//! What the clients of one resource sent and heard.

use std::collections::HashMap;
use std::time::Duration;

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

/// How a PUT is to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Awaited.
    Inline,
    /// Queued.
    Deferred,
    /// Awaited for so many seconds.
    Wait(u8),
}

/// An answer to a PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200 or 201: written.
    Written {
        /// The entity tag, which is the operation id.
        etag: String,
        /// Whether it says that there was no such resource.
        created: bool,
    },
    /// 202: queued.
    Accepted {
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

/// One sending of a PUT.
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
    /// `succeeded`, with the entity tag
    Succeeded(String),
    /// `superseded`
    Superseded,
    /// `failed` for good, with the problem's type
    Failed(String),
    /// Anything else.
    Unexpected(String),
}

impl Status {
    /// Whether it may never change.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Pending | Self::Stalled | Self::Unexpected(_))
    }
}

/// One PUT, however often it was sent.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its body, which no other PUT has.
    pub body: String,
    /// Its precondition.
    pub condition: Condition,
    /// Whether it has an Idempotency-Key.
    pub is_keyed: bool,
    /// Its sendings.
    pub sendings: Vec<Sending>,
    /// What its status was, and when that was heard.
    pub statuses: Vec<(Duration, Status)>,
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

/// A write that took effect, as the wire saw it.
pub use crate::rig::watch::Landed;

/// All that is known of one resource.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// The resource.
    pub resource: String,
    /// Every PUT.
    pub puts: Vec<Put>,
    /// Every GET.
    pub gets: Vec<Get>,
    /// Every write that took effect.
    pub landed: Vec<Landed>,
    /// What is stored at the end.
    pub stored: Option<Version>,
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
    /// Nobody can tell.
    Open,
}

impl Put {
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
                Answer::Written { .. } => Fate::Written(at),
                Answer::PreconditionFailed => Fate::PreconditionFailed(at),
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
                Status::Pending | Status::Stalled | Status::Unexpected(_) => Fate::Open,
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
            Fate::Written(at) | Fate::PreconditionFailed(at) => *at,
            Fate::Never | Fate::Open => Duration::MAX,
        };
        fates.min_by_key(time).unwrap_or(Fate::Open)
    }

    /// Every operation id that it was told.
    #[must_use]
    pub fn operations(&self) -> Vec<&str> {
        let answers = self.sendings.iter().filter_map(|sending| match &sending.answer {
            Answer::Written { etag, .. } => Some(etag.as_str()),
            Answer::Accepted { operation, .. } => Some(operation),
            _ => None,
        });
        let statuses = self.statuses.iter().filter_map(|(_, status)| match status {
            Status::Succeeded(etag) => Some(etag.as_str()),
            _ => None,
        });
        answers.chain(statuses).collect()
    }
}

impl Story {
    /// The number of each body, from 1 on; 0 is no resource.
    #[must_use]
    pub fn numbers(&self) -> HashMap<&str, u32> {
        let bodies = self.puts.iter().map(|put| put.body.as_str());
        bodies.zip(1..).collect()
    }
}
