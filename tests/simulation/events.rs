//! Counts of what happened, so that a simulation that stopped meeting the cases it is
//! about does not pass for one that proves something.

macro_rules! events {
    ($($event:ident: $text:literal,)*) => {
        /// Something worth counting.
        #[derive(Clone, Copy)]
        pub enum Event { $($event),* }

        const TEXTS: &[&str] = &[$($text),*];
    };
}

events! {
    Created: "201 created",
    Replaced: "200 replaced",
    Accepted: "202 accepted",
    NotWritten: "503 not-written",
    OutcomeUnknown: "503 outcome-unknown",
    PreconditionFailed: "412 answered",
    ClockRefusal: "503 for the host's clock",
    FutureTag: "412 for a tag of the future",
    AnswerLost: "answers lost",
    Throttled: "calls throttled",
    Conflict: "transaction conflicts",
    NoConnection: "calls without a connection",
    NeverLands: "calls refused for good",
    RequestLost: "requests lost",
    ReplyLost: "replies lost",
    LateLanding: "requests landed after their caller gave up",
    LateAfterAnswer: "writes landed after the client had its answer",
    StepOver: "newer ids stepped over",
    FixedIdMetNewer: "newer ids met with the own id fixed",
    OwnIdFound: "own ids found after a lost reply",
    OwnOutcomeFound: "own outcomes found after a lost reply",
    MadeUpTag: "made-up tags sent",
    WaitWritten: "wait: written in time",
    WaitFellBack: "wait: fell back to the queue",
    WaitFellBackInFlight: "wait: fell back, an attempt may have landed",
    WaitLandedAfterFallback: "wait: an attempt landed after the fallback",
    PutKilled: "put hosts killed",
    Redelivered: "messages received again",
    Duplicate: "messages delivered twice at a time",
    DeleteFailed: "deleted messages that came back",
    SentTwice: "messages sent twice",
    ApplyKilled: "workers killed",
    OutOfTime: "workers out of time",
    HandedBack: "messages handed back",
    Suspect: "suspects run alone",
    Panic: "panics",
    Poison: "poison sent on by apply",
    DeadLettered: "messages dead-lettered by the queue",
    Provisional: "provisional failures",
    BuriedDecided: "dead letters with a final outcome dropped",
    BuryKilled: "buries killed",
    ParkedUnburied: "messages parked that bury could not handle",
    Redriven: "messages redriven",
    ProvisionalReplaced: "provisional failures replaced",
    Applied: "outcome: succeeded, by apply",
    Superseded: "outcome: superseded by a stored user",
    Coalesced: "outcome: superseded in the newer one's transaction",
    DeferredPreconditionFailed: "outcome: failed (412)",
    ClockSkew: "outcome: failed (clock)",
    Refused: "outcome: failed before the write",
    NextOlder: "next older tried after a refusal",
    AlreadyDecided: "outcomes met by a redelivery",
    LeftParked: "messages left parked",
    LeftParkedAsPoison: "poison left parked, alone",
    UserRead: "users read",
    StatusRead: "statuses read",
    ConditionalWritten: "conditional PUTs written",
    OrderedPairs: "ordered pairs of PUTs of one user",
}

/// How often each event occurred.
#[derive(Clone)]
pub struct Counts([u64; TEXTS.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; TEXTS.len()])
    }
}

impl Counts {
    pub fn add(&mut self, event: Event, times: u64) {
        self.0[event as usize] += times;
    }

    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TEXTS.iter().copied().zip(self.0)
    }
}
