//! What the clients of one resource sent and heard.

use std::collections::HashMap;
use std::time::Duration;

pub use rig::engine::Stored;
pub use rig::watch::Landed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Put,
    Delete,
}

/// The condition on the stored resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
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
    Inline,
    Deferred,
    /// The client waits for this many seconds.
    Wait(u8),
}

/// Whether a PUT or DELETE took effect, by an answer or a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Written,
    /// It did not: its precondition was false.
    PreconditionFailed,
    /// It did not, and never will.
    Never,
    /// It did not, since it was cancelled.
    Cancelled,
    /// The answer leaves it open.
    Open,
    /// No request of this soak should get this.
    Unexpected,
}

/// What an answer or a status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The status code with the type of the problem, or the status of the operation.
    pub text: String,
    pub fate: Fate,
    /// The operation id.
    pub operation: Option<String>,
    /// Whether there was no resource before.
    pub created: Option<bool>,
}

/// One sending of a PUT or DELETE.
#[derive(Clone, Debug)]
pub struct Sending {
    pub sent: Duration,
    pub answered: Duration,
    pub said: Said,
}

/// One PUT or DELETE, with all its sendings.
#[derive(Clone, Debug)]
pub struct Change {
    pub method: Method,
    /// Identifies its writes: the body of a PUT, the id of the request for a DELETE. No other PUT
    /// or DELETE has it.
    pub mark: String,
    pub condition: Condition,
    pub is_keyed: bool,
    pub sendings: Vec<Sending>,
    /// The URL of its status, if it was accepted.
    pub location: Option<String>,
    /// Its statuses, and when each was heard.
    pub statuses: Vec<(Duration, Said)>,
    /// When requests to cancel it were sent, without those that are known to have failed.
    pub cancels: Vec<Duration>,
}

/// A GET that was answered.
#[derive(Clone, Debug)]
pub struct Get {
    pub sent: Duration,
    pub answered: Duration,
    /// Entity tag and body.
    pub seen: Option<(String, String)>,
}

/// All that is known of one resource.
#[derive(Clone, Debug)]
pub struct Story {
    pub resource: String,
    pub changes: Vec<Change>,
    pub gets: Vec<Get>,
    /// Every write that took effect.
    pub landed: Vec<Landed>,
    /// What is stored at the end.
    pub stored: Option<Stored>,
    /// Everything else that went wrong.
    pub troubles: Vec<String>,
}

impl Said {
    /// Whether an answer leaves open what the service knows of the request.
    pub fn is_unknown(&self) -> bool {
        self.text.starts_with('5')
    }

    pub fn is_accepted(&self) -> bool {
        self.text.starts_with("202")
    }

    /// Whether a status must never change again.
    pub fn is_final(&self) -> bool {
        !matches!(self.fate, Fate::Open | Fate::Unexpected)
    }

    /// Whether a status may be followed by `later`, at once or after others.
    pub fn may_precede(&self, later: &Self) -> bool {
        // The answer to a late cancellation: the operation has another status, which is final.
        const ALREADY_DECIDED: &str = "already-decided";
        match (self.text.as_str(), later.text.as_str()) {
            (_, ALREADY_DECIDED) => self.fate != Fate::Cancelled,
            (ALREADY_DECIDED, _) => later.is_final() && later.fate != Fate::Cancelled,
            _ => !self.is_final() || self == later,
        }
    }
}

impl Change {
    /// When it was first sent.
    pub fn sent(&self) -> Duration {
        self.sendings.iter().map(|sending| sending.sent).min().unwrap_or_default()
    }

    /// When the place of its operation in the order was settled, as far as a client can tell: at
    /// the first answer that shows that the service knew the operation, or else at the last answer.
    pub fn settled(&self) -> Duration {
        let known = self.sendings.iter().filter(|sending| !sending.said.is_unknown());
        let known = known.map(|sending| sending.answered).min();
        let last = self.sendings.iter().map(|sending| sending.answered).max();
        known.or(last).unwrap_or_default()
    }

    /// All answers and statuses, each with its time.
    pub fn heard(&self) -> impl Iterator<Item = (Duration, &Said)> {
        let answers = self.sendings.iter().map(|sending| (sending.answered, &sending.said));
        answers.chain(self.statuses.iter().map(|(at, said)| (*at, said)))
    }

    /// Every claim about its fate, each with its time.
    pub fn claims(&self) -> Vec<(Duration, &Said)> {
        self.heard().filter(|(_, said)| said.is_final()).collect()
    }

    /// Its fate by the first claim with a time, or else by any claim.
    pub fn fate(&self) -> (Fate, Duration) {
        let claims = self.claims().into_iter().map(|(at, said)| match said.fate {
            Fate::Never => (Fate::Never, Duration::MAX),
            fate => (fate, at),
        });
        claims.min_by_key(|(_, at)| *at).unwrap_or((Fate::Open, Duration::MAX))
    }

    /// Every operation id that it had.
    pub fn operations(&self) -> Vec<&str> {
        self.heard().filter_map(|(_, said)| said.operation.as_deref()).collect()
    }
}

impl Story {
    /// The number of each mark, from 1 on.
    pub fn numbers(&self) -> HashMap<&str, u32> {
        let marks = self.changes.iter().map(|change| change.mark.as_str());
        marks.zip(1..).collect()
    }
}
