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
    Deleted: "204 deleted",
    Queued: "202 queued",
    WaitWritten: "wait: written in time",
    WaitFellBack: "wait: fell back to the queue",
    SucceededAnswered: "202 answered as succeeded",
    NotWritten: "503 not-written",
    OutcomeUnknown: "503 outcome-unknown",
    ClockRefusal: "503 clock-skew",
    PreconditionFailed: "412 answered",
    NeverTrue: "412 answered to what no version meets",
    SupersededAnswered: "409 superseded answered",
    RefusedAnswered: "409 refused answered",
    KeyReusedAnswered: "422 for a key that was used before",
    CancelledAnswered: "409 cancelled answered",
    Cancelled: "cancel: 200",
    CancelledAgain: "cancel: 200, again",
    TooLateToCancel: "cancel: 409 already-decided",
    NotCancelled: "cancel: other problems",
    SteppedOver: "writes with an id that stepped over a newer one",
    Timeless: "requests without a time of arrival",
    AnswerLost: "answers lost",
    GivenUp: "requests given up",
    HeldUp: "requests held up",
    KeyReused: "keys used for another payload",
    KeyExpired: "keys used again after their expiry",
    Throttled: "calls throttled",
    NoConnection: "calls without a connection",
    NeverLands: "calls refused for good",
    RequestLost: "requests lost",
    ReplyLost: "replies lost",
    LateLanding: "calls landed after their caller gave up",
    LateAfterAnswer: "writes landed after an answer that does not know",
    MadeUpTag: "made-up tags sent",
    PutKilled: "put hosts killed",
    Redelivered: "messages received again",
    Duplicate: "messages delivered twice at a time",
    DeleteFailed: "deleted messages that came back",
    LargeBatch: "batches of more than ten messages",
    ApplyKilled: "workers killed",
    HandedBack: "messages handed back",
    Panic: "panics",
    RefusedByUpdate: "operations refused by the update",
    TriedLater: "operations to be tried later",
    UpdateCutOff: "updates cut off",
    Poison: "messages sent to the dead letters by apply",
    DeadLettered: "messages dead-lettered by the queue",
    OtherVersion: "messages of another version",
    Unreadable: "messages that nobody can read",
    Stalled: "operations stalled",
    Parked: "messages parked",
    ParkKilled: "parks killed",
    ParkedUnstalled: "messages parked that park could not handle",
    Redriven: "messages redriven",
    StalledDecided: "stalled operations decided",
    Transacted: "outcome: succeeded",
    OwnIdFound: "outcome: succeeded, found by its own id",
    Superseded: "outcome: superseded",
    Coalesced: "outcome: superseded in the newer one's transaction",
    PreconditionFailedRecorded: "outcome: failed (412)",
    CancelledRecorded: "outcome: cancelled",
    StalledCancelled: "outcome: cancelled when stalled",
    AlreadyDecided: "outcomes met by a redelivery",
    ClockLead: "measured: lead over the queue's clock",
    ClockSkews: "measured: clock skews",
    DeletedMeasured: "measured: deleted",
    CancelledMeasured: "measured: cancelled",
    ExpiredDropped: "measured: too old to be carried out",
    RetentionOver: "messages kept for too long by a queue",
    LeftParked: "operations left parked",
    LeftParkedAsPoison: "poison left parked, alone",
    LeftToExpire: "operations left to expire",
    ResourceRead: "resources read",
    StatusRead: "statuses read",
    StalledShown: "statuses read: stalled",
    ExpiredShown: "statuses read: expired",
    GoneShown: "statuses read: gone",
    TombstoneRemoved: "tombstones removed",
    ConditionalWritten: "conditional PUTs written",
    OrderedPairs: "ordered pairs of PUTs of one resource",
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
