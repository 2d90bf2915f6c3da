//! The place of a new operation in the order.

use crate::order::arrival::Arrival;
use crate::{OperationId, Precondition};

/// The id of an operation with this arrival and precondition, and the low 62 bits of `random`.
///
/// The id has the time of arrival. But if the precondition has a single entity tag, which is not
/// older and at most [`WINDOW`](crate::order::arrival::WINDOW) after the arrival, the id is the
/// tag's successor. So a chain of conditional requests stays in order. With a single tag, the write
/// can land on no other version. With several tags, a forged tag would let this write beat other
/// clients' newer deferred requests.
#[must_use]
pub fn operation_id(arrival: Arrival, random: u64, precondition: &Precondition) -> OperationId {
    let own = OperationId::new(arrival.tick(), random);
    match precondition {
        Precondition::OneOf(tags) => match tags[..] {
            [tag] if tag >= own && arrival.is_followed_by(tag) => tag.successor(random),
            _ => own,
        },
        _ => own,
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
        let arrival =
            Arrival::at_gateway(Some(ARRIVED_MS), Duration::from_millis(ARRIVED_MS)).unwrap();
        operation_id(arrival, 7, &Precondition::OneOf(tags.to_vec()))
    }

    const OWN: fn() -> OperationId = || tag(ARRIVED_MS, 7);

    #[test]
    fn the_id_is_the_arrival_or_follows_a_lone_tag_up_to_a_second_after_it() {
        assert_eq!(id_with(&[]), OWN());
        assert_eq!(id_with(&[tag(ARRIVED_MS - 1, 9)]), OWN());
        assert_eq!(id_with(&[tag(ARRIVED_MS, 6)]), OWN());
        let newer = tag(ARRIVED_MS, 9);
        assert_eq!(id_with(&[newer]), newer.successor(7));
        let at_most = tag(ARRIVED_MS + 1000, 9);
        assert_eq!(id_with(&[at_most]), at_most.successor(7));
        assert_eq!(id_with(&[at_most.successor(0)]), OWN());
        assert_eq!(id_with(&[newer, newer]), OWN());
    }

    proptest! {
        #[test]
        fn several_tags_raise_nothing(tags in prop::collection::vec((0..=ARRIVED_MS + 2000, any::<u64>()), 2..6)) {
            let tags: Vec<_> = tags.into_iter().map(|(ms, random)| tag(ms, random)).collect();
            prop_assert_eq!(id_with(&tags), OWN());
        }
    }
}
