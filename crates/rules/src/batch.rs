//! How the operations of one user in one batch are carried out.

use crate::{OperationId, Precondition};

/// Most operations that one transaction decides: DynamoDB takes 100 actions, one of
/// which updates the user.
pub const MAX_DECIDED_AT_ONCE: usize = 99;

/// Receives from which a message is suspected of ending the process, and is carried
/// out last and alone.
pub const SUSPECT_RECEIVES: u32 = 4;

/// Receives from which a message that panics is taken for poison.
pub const POISON_RECEIVES: u32 = 5;

/// Splits the operations of one user into groups, to be decided in this order. Of each
/// group only the newest is written, and the others are superseded with it.
///
/// Unconditional operations need no more than the newest of them; where any is
/// conditional, each stands alone, oldest first, since its precondition may be about
/// the one before it. `operations` are sorted and each occurs once.
#[must_use]
pub fn groups<T>(
    operations: Vec<T>,
    of: impl Fn(&T) -> (OperationId, &Precondition),
) -> Vec<Vec<T>> {
    debug_assert!(operations.is_sorted_by(|a, b| of(a).0 < of(b).0));
    let is_conditional = operations.iter().any(|operation| *of(operation).1 != Precondition::None);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;
    use std::time::Duration;

    fn operations(count: u64, conditional: Option<usize>) -> Vec<(OperationId, Precondition)> {
        let id = |ms| OperationId::new(Tick::from_unix(Duration::from_millis(ms)), 0);
        let mut operations: Vec<_> = (0..count).map(|ms| (id(ms), Precondition::None)).collect();
        if let Some(at) = conditional {
            operations[at].1 = Precondition::Exists;
        }
        operations
    }

    fn sizes(operations: Vec<(OperationId, Precondition)>) -> Vec<usize> {
        let groups = groups(operations.clone(), |(id, precondition)| (*id, precondition));
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
}
