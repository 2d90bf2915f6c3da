//! The mistakes that the simulation must catch: each replaces one use of a rule, and is
//! a test of its own.

use crate::run;

/// Schedules within which a mutant must be caught.
const SCHEDULES: u64 = 100_000;

macro_rules! mutants {
    ($($(#[$doc:meta])+ $test:ident => $mutant:ident,)+) => {
        /// A mistake in the driver or the tables. `rules` itself is never changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[$doc])+ $mutant,)+
        }

        impl Mutant {
            pub const ALL: &[Self] = &[$(Self::$mutant),+];
        }

        $(#[test]
        fn $test() {
            is_caught(Mutant::$mutant);
        })+
    };
}

mutants! {
    /// The write condition does not compare ids.
    no_comparison => NoComparison,
    /// The write condition is `op <= :op`.
    less_or_equal => LessOrEqual,
    /// The id that steps over another keeps its random bits.
    successor_without_random => SuccessorWithoutRandom,
    /// After a lost reply a newer stored id is answered as success.
    newer_is_success => NewerIsSuccess,
    /// After a lost reply the own id is stepped over like any other.
    own_id_unrecognised => OwnIdUnrecognised,
    /// After a lost reply a newer id is stepped over.
    step_over_after_lost_reply => StepOverAfterLostReply,
    /// A precondition that is false now is taken for one that was false of the attempt
    /// whose reply was lost.
    false_now_is_false_for_good => FalseNowIsFalseForGood,
    /// The fallback of `wait` mints another id.
    wait_falls_back_with_new_id => WaitFallsBackWithNewId,
    /// `put` ignores how far its clock is off.
    clock_unchecked => ClockUnchecked,
    /// The id of an If-Match PUT does not follow its tags.
    id_ignores_tags => IdIgnoresTags,
    /// The id of an If-Match PUT follows tags of the future too.
    id_follows_any_tag => IdFollowsAnyTag,
    /// `apply` records `succeeded`, then writes the user.
    outcome_before_write => OutcomeBeforeWrite,
    /// `apply` writes the user, then records `succeeded`.
    outcome_after_write => OutcomeAfterWrite,
    /// Operations are coalesced though one of them is conditional.
    coalesce_conditional => CoalesceConditional,
    /// A failed call is taken for one that met a newer user.
    superseded_unseen => SupersededUnseen,
    /// A user far ahead of the clock supersedes like any other.
    skew_supersedes => SkewSupersedes,
    /// A refusal is judged by the time before its call.
    judged_by_an_old_clock => JudgedByAnOldClock,
    /// Outcomes are written whether or not a final one stands.
    no_outcome_check => NoOutcomeCheck,
    /// Messages are deleted before they are applied.
    deleted_first => DeletedFirst,
    /// `bury` writes an outcome that is final.
    bury_is_final => BuryIsFinal,
    /// `bury` overwrites a final outcome.
    bury_overwrites => BuryOverwrites,
}

fn is_caught(mutant: Mutant) {
    let caught = (0..SCHEDULES)
        .find_map(|seed| run(seed, Some(mutant), false).1.map(|violation| (seed, violation)));
    let Some((seed, violation)) = caught else {
        panic!("{mutant:?} survives {SCHEDULES} schedules");
    };
    println!("{mutant:?} is caught by schedule {}: {violation}", seed + 1);
}
