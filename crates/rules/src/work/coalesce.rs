//! How the operations on one resource in one batch are grouped.

use crate::Operation;

/// Maximum number of operations in one transaction: DynamoDB accepts 100 actions, and one of them
/// updates the resource.
pub const MAX_DECIDED_AT_ONCE: usize = 99;

/// A message that was received this many times or more is suspected of ending the process. It runs
/// last and alone.
pub const SUSPECT_RECEIVES: u32 = 4;

/// A message that was received this many times or more is poison if the code panics on it.
pub const POISON_RECEIVES: u32 = 5;

/// Splits the operations on one resource into groups, to decide in this order. Only the newest of a
/// group is written; it supersedes the others.
///
/// Unconditional operations form groups as large as possible. If any is conditional, each operation
/// is a group, oldest first, since a precondition may depend on the operation before it.
/// `operations` are sorted, without duplicates.
#[must_use]
pub fn groups<T>(operations: Vec<T>, of: impl Fn(&T) -> &Operation) -> Vec<Vec<T>> {
    debug_assert!(operations.is_sorted_by(|a, b| of(a).id < of(b).id));
    let is_conditional = operations.iter().any(|operation| of(operation).is_conditional());
    let size = if is_conditional { 1 } else { MAX_DECIDED_AT_ONCE };
    let mut groups: Vec<Vec<T>> = Vec::new();
    for operation in operations {
        match groups.last_mut() {
            Some(group) if group.len() < size => group.push(operation),
            _ => groups.push(vec![operation]),
        }
    }
    groups
}

/// The groups of suspects of one resource, to decide in this order.
///
/// The order is random: otherwise an operation that ends the process would always stop the same
/// other operations. But a conditional operation comes after every older one. Unconditional
/// operations are coalesced only three times in four: otherwise, if the newest ends the process, it
/// would always take the others with it. `operations` are sorted, without duplicates.
#[must_use]
pub fn suspect_groups<T>(
    operations: Vec<T>,
    of: impl Fn(&T) -> &Operation,
    mut random: impl FnMut() -> u64,
) -> Vec<Vec<T>> {
    let is_conditional = |operation: &T| of(operation).is_conditional();
    if !operations.iter().any(is_conditional) && !random().is_multiple_of(4) {
        return groups(operations, of);
    }
    let mut order: Vec<_> = (0..operations.len()).map(|at| (random(), at)).collect();
    order.sort_unstable();
    let mut operations: Vec<_> = operations.into_iter().map(Some).collect();
    let mut groups = Vec::new();
    for (_, at) in order {
        let first = match &operations[at] {
            Some(operation) if is_conditional(operation) => 0,
            _ => at,
        };
        groups.extend(
            operations[first..=at].iter_mut().filter_map(Option::take).map(|one| vec![one]),
        );
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OperationId, Precondition, ResourceId, Tick};

    fn operations(count: u64, conditional: Option<usize>) -> Vec<Operation> {
        let operation = |ms| {
            let id = OperationId::new(Tick::from_unix_ms(ms), 0);
            let resource = ResourceId::new("42").unwrap();
            Operation::put(id, resource, Precondition::None, "{}".to_owned())
        };
        let mut operations: Vec<_> = (0..count).map(operation).collect();
        if let Some(at) = conditional {
            operations[at].precondition = Precondition::Exists;
        }
        operations
    }

    fn sizes(operations: Vec<Operation>) -> Vec<usize> {
        let groups = groups(operations.clone(), |operation| operation);
        assert_eq!(groups.concat(), operations);
        groups.iter().map(Vec::len).collect()
    }

    #[test]
    fn unconditional_operations_are_coalesced() {
        assert_eq!(sizes(operations(0, None)), [0; 0]);
        assert_eq!(sizes(operations(10, None)), [10]);
        assert_eq!(sizes(operations(100, None)), [99, 1]);
    }

    #[test]
    fn none_is_coalesced_across_a_conditional_one() {
        assert_eq!(sizes(operations(4, Some(0))), [1; 4]);
        assert_eq!(sizes(operations(4, Some(3))), [1; 4]);
    }

    #[test]
    fn suspects_come_in_any_order_but_a_conditional_one_after_every_older_one() {
        let mut firsts = std::collections::BTreeSet::new();
        let mut coalesced = 0;
        for seed in 0..200u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut random = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let plain = suspect_groups(operations(3, None), |one| one, &mut random);
            assert!([1, 3].contains(&plain.len()));
            coalesced += u32::from(plain.len() == 1);
            firsts.insert(plain[0][0].id);
            let all = suspect_groups(operations(4, Some(2)), |one| one, &mut random).concat();
            let at = |ms| all.iter().position(|one| one.id.tick().unix_ms() == ms).unwrap();
            assert!(all.len() == 4 && at(0).max(at(1)) < at(2), "{all:?}");
        }
        assert_eq!(firsts.len(), 3);
        assert!((130..170).contains(&coalesced), "{coalesced} of 200, not three in four");
    }
}
