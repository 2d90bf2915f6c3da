//! The operation: one PUT that is to be carried out, in whatever way.

use crate::order::arrival::MAX_LEAD;
use crate::{Arrival, OperationId, Precondition, ResourceId};

/// One PUT that is to be carried out: made once, by `put`, then written or queued, and
/// the same wherever it is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it goes by: identity, place in the order, version and idempotency token.
    pub id: OperationId,
    /// Whom it is for.
    pub resource: ResourceId,
    /// What must be true of the stored resource.
    pub precondition: Precondition,
    /// The resource's new body.
    pub body: String,
}

/// What a stored resource is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The operation that wrote the body.
    pub written_by: OperationId,
    /// The operation that created the resource; it never changes. Absent from items that
    /// something else than this service wrote.
    pub created_by: Option<OperationId>,
}

impl Operation {
    /// The operation of a PUT that arrived then, with the low 62 bits of `random`.
    #[must_use]
    pub fn new(
        arrival: Arrival,
        random: u64,
        resource: ResourceId,
        precondition: Precondition,
        body: String,
    ) -> Self {
        let own = OperationId::new(arrival.tick(), random);
        let id = match followed_tag(&precondition, arrival) {
            Some(tag) if tag.tick() >= own.tick() => tag.successor(random),
            _ => own,
        };
        Self { id, resource, precondition, body }
    }
}

/// The newest tag that the operation's id must be newer than, so that a chain of
/// conditional PUTs is in order.
///
/// A tag after the arrival's millisecond counts only if it is the only one: then the
/// write can land on no other version. Beside a real tag a made-up one would lift the
/// resource over the newer deferred PUTs of others, who would lose to it.
fn followed_tag(precondition: &Precondition, arrival: Arrival) -> Option<OperationId> {
    let Precondition::OneOf(tags) = precondition else { return None };
    let arrived_ms = arrival.tick().unix_ms();
    let latest = arrival.tick().to_unix() + MAX_LEAD;
    match &tags[..] {
        [first, others @ ..] if others.iter().all(|tag| tag == first) => {
            Some(*first).filter(|tag| tag.tick().to_unix() <= latest)
        }
        tags => tags.iter().copied().filter(|tag| tag.tick().unix_ms() <= arrived_ms).max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;
    use proptest::prelude::*;
    use std::time::Duration;

    const ARRIVED_MS: u64 = 100_000;

    fn tag(ms: u64, random: u64) -> OperationId {
        OperationId::new(Tick::from_unix_ms(ms), random)
    }

    fn id_with(tags: &[OperationId]) -> OperationId {
        let arrival = Arrival::at_gateway(ARRIVED_MS, Duration::from_millis(ARRIVED_MS)).unwrap();
        let precondition = Precondition::OneOf(tags.to_vec());
        let resource = ResourceId::new("42").unwrap();
        Operation::new(arrival, 7, resource, precondition, "{}".to_owned()).id
    }

    const OWN: fn() -> OperationId = || tag(ARRIVED_MS, 7);

    #[test]
    fn the_id_is_the_arrival_unless_a_tag_lies_in_its_millisecond_or_alone_up_to_a_second_after() {
        assert_eq!(id_with(&[]), OWN());
        assert_eq!(id_with(&[tag(ARRIVED_MS - 1, 9)]), OWN());
        let of_the_same_tick = tag(ARRIVED_MS, 9);
        assert_eq!(id_with(&[of_the_same_tick]), of_the_same_tick.successor(7));
        let within = of_the_same_tick.successor(9);
        assert_eq!(id_with(&[within]), within.successor(7));
        assert_eq!(id_with(&[within, tag(ARRIVED_MS - 1, 9)]), within.successor(7));
        let at_most = tag(ARRIVED_MS + 1000, 9);
        assert_eq!(id_with(&[at_most]), at_most.successor(7));
        assert_eq!(id_with(&[at_most, at_most]), at_most.successor(7));
        assert_eq!(id_with(&[tag(ARRIVED_MS + 1001, 9)]), OWN());
    }

    #[test]
    fn a_made_up_tag_beside_a_real_one_lifts_nobody() {
        for lead in [1, 1000, 1001, 1 << 40] {
            let made_up = tag(ARRIVED_MS + lead, 9);
            assert_eq!(id_with(&[made_up, tag(ARRIVED_MS - 1, 9)]), OWN(), "{lead}");
            assert_eq!(id_with(&[made_up, tag(ARRIVED_MS + lead, 8)]), OWN(), "{lead}");
        }
    }

    proptest! {
        #[test]
        fn the_id_follows_each_tag_of_the_past(tags in prop::collection::vec((0..=ARRIVED_MS + 2000, any::<u64>()), 0..6)) {
            let tags: Vec<_> = tags.into_iter().map(|(ms, random)| tag(ms, random)).collect();
            let id = id_with(&tags);
            prop_assert!(id.tick() >= OWN().tick());
            prop_assert!(tags.iter().all(|tag| tag.tick().unix_ms() > ARRIVED_MS || *tag < id || *tag == OWN()));
            prop_assert!(tags.len() < 2 || id.tick().unix_ms() <= ARRIVED_MS + 1);
        }
    }
}
