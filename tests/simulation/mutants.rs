//! The mistakes that the simulation must catch, one test for each.
//!
//! These are mistakes in the world: a table, a queue or a host differs from what the functions rely
//! on, or behaves as if the functions called it otherwise. `cargo mutants` makes mistakes in the
//! functions themselves (`make -C tests mutants`).

use crate::run;

/// A mutant must be caught within so many schedules.
const SCHEDULES: u64 = 100_000;

macro_rules! mutants {
    ($($(#[$doc:meta])+ $test:ident => $mutant:ident $(by $check:literal)?,)+) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])+ $mutant,)+
        }

        impl Mutant {
            pub const ALL: &[Self] = &[$(Self::$mutant),+];
        }

        $(#[test]
        fn $test() {
            is_caught(Mutant::$mutant, [$($check)?].first().copied());
        })+
    };
}

mutants! {
    /// The write condition does not compare ids.
    no_comparison => NoComparison,
    /// The write condition is `op <= :op`.
    less_or_equal => LessOrEqual,
    /// The write condition has no precondition.
    no_precondition => NoPrecondition,
    /// A replacement overwrites `created_by`.
    creator_overwritten => CreatorOverwritten,
    /// A DELETE of nothing leaves no tombstone.
    deletion_of_nothing_leaves_nothing => DeletionOfNothingLeavesNothing by "back",
    /// `If-None-Match: *` is true of every tombstone, also of one that is newer.
    absent_is_not_compared => AbsentIsNotCompared by "down",
    /// An entity tag matches a tombstone.
    tombstone_has_a_tag => TombstoneHasATag by "precondition",
    /// `If-Match: *` is true of a tombstone.
    tombstone_exists => TombstoneExists by "precondition",
    /// A PUT over a tombstone leaves `expires_at`.
    expiry_is_left => ExpiryIsLeft by "expiry",
    /// A DELETE leaves `created_by`.
    creator_is_left => CreatorIsLeft by "creator",
    /// A tombstone is kept a day less than the time in which an operation is carried out.
    tombstone_kept_for_a_month => TombstoneKeptForAMonth by "back",
    /// The time to live of a tombstone counts from when it is written.
    tombstone_kept_from_now => TombstoneKeptFromNow by "expiry",
    /// A cancellation is recorded over another outcome.
    cancellation_overwrites => CancellationOverwrites by "outcome",
    /// A transaction writes a cancelled operation.
    cancelled_is_written => CancelledIsWritten by "outcome",
    /// `succeeded` is recorded first, then the resource is written.
    outcome_before_write => OutcomeBeforeWrite,
    /// The resource is written first, then `succeeded` is recorded.
    outcome_after_write => OutcomeAfterWrite,
    /// Outcomes are recorded even if there is a final one.
    no_outcome_check => NoOutcomeCheck,
    /// A resource is read without `ConsistentRead`.
    stale_resource => StaleResource,
    /// A record is read without `ConsistentRead`.
    stale_record => StaleRecord,
    /// The version of a resource is read without `ConsistentRead`.
    stale_version => StaleVersion,
    /// An outcome's time to live is six hours.
    outcome_kept_for_hours => OutcomeKeptForHours,
    /// A final outcome is not recorded, but confirmed.
    fence_is_dropped => FenceIsDropped,
    /// A call that would record another outcome does not learn of the final one.
    decision_is_not_told => DecisionIsNotTold,
    /// A stalled operation is recorded as failed permanently.
    stalled_is_final => StalledIsFinal,
    /// `stalled` overwrites a final outcome.
    stalled_overwrites => StalledOverwrites,
    /// A claim moves to the operation of the client that repeats the request.
    claim_moves => ClaimMoves,
    /// A key is valid for whatever is sent with it.
    fingerprint_is_ignored => FingerprintIsIgnored,
    /// A claim expires after three seconds.
    claim_expires_early => ClaimExpiresEarly by "refused",
    /// A claim stays valid after it has expired.
    claim_never_expires => ClaimNeverExpires,
    /// Messages are deleted before they are applied.
    deleted_first => DeletedFirst,
    /// The queue says that it took a message that was not sent.
    send_fails_and_says_ok => SendFailsAndSaysOk,
    /// A message does not contain the id that its operation was made with.
    send_loses_origin => SendLosesOrigin,
    /// The queue says that it took a forwarded message, but did not.
    forward_fails_and_says_ok => ForwardFailsAndSaysOk,
    /// A forwarded message has lost its precondition.
    forward_loses_attribute => ForwardLosesAttribute,
    /// `dead-letters` allows fewer receives than `updates`.
    dead_letters_allow_fewer => DeadLettersAllowFewer,
    /// A request arrives at the time of the host's clock, not of the gateway's.
    arrival_from_host => ArrivalFromHost,
    /// A call is said to have had no effect when its reply is lost.
    lost_reply_is_not_landed => LostReplyIsNotLanded,
    /// A failed read of a record is said to have found none.
    failed_read_finds_none => FailedReadFindsNone,
    /// An update does not run.
    update_is_skipped => UpdateIsSkipped by "update",
    /// A PUT steps over nothing.
    never_steps => NeverSteps by "superseded",
    /// A PUT steps over what arrived up to 250 ms after it.
    window_is_a_quarter => WindowIsAQuarter by "superseded",
    /// A PUT steps over what arrived up to 1.1 s after it.
    window_is_longer => WindowIsLonger by "promise",
    /// A PUT steps over what arrived up to 2 s after it.
    window_is_twice => WindowIsTwice by "promise",
    /// A PUT steps over what arrived up to 1 s after the id that it has moved to.
    window_moves => WindowMoves by "promise",
    /// All hosts draw the same random numbers.
    random_is_shared => RandomIsShared,
}

/// Runs schedules until one is caught, by the check of this name if one is given.
fn is_caught(mutant: Mutant, by: Option<&str>) {
    let is_by = |violation: &String| by.is_none_or(|check| violation.starts_with(check));
    let caught = (0..SCHEDULES).find_map(|seed| {
        run(seed, Some(mutant), false).1.filter(is_by).map(|violation| (seed, violation))
    });
    let Some((seed, violation)) = caught else {
        panic!("{mutant:?} survives {SCHEDULES} schedules");
    };
    println!("{mutant:?} is caught by schedule {}: {violation}", seed + 1);
}
