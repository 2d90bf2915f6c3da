//! How the operations of one resource in one batch are carried out.

use crate::{Operation, Precondition};

/// Most operations that one transaction decides: DynamoDB takes 100 actions, one of
/// which updates the resource.
pub const MAX_DECIDED_AT_ONCE: usize = 99;

/// Receives from which a message is suspected of ending the process, and is carried
/// out last and alone.
pub const SUSPECT_RECEIVES: u32 = 4;

/// Receives from which a message that panics is taken for poison.
pub const POISON_RECEIVES: u32 = 5;

/// Splits the operations of one resource into groups, to be decided in this order. Of each
/// group only the newest is written, and the others are superseded with it.
///
/// Unconditional operations need no more than the newest of them; where any is
/// conditional, each stands alone, oldest first, since its precondition may be about
/// the one before it. `operations` are sorted and each occurs once.
#[must_use]
pub fn groups<T>(operations: Vec<T>, of: impl Fn(&T) -> &Operation) -> Vec<Vec<T>> {
    debug_assert!(operations.is_sorted_by(|a, b| of(a).id < of(b).id));
    let is_conditional =
        operations.iter().any(|operation| of(operation).precondition != Precondition::None);
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
    use crate::{OperationId, ResourceId, Tick};

    fn operations(count: u64, conditional: Option<usize>) -> Vec<Operation> {
        let operation = |ms| Operation {
            id: OperationId::new(Tick::from_unix_ms(ms), 0),
            resource: ResourceId::new("42").unwrap(),
            precondition: Precondition::None,
            body: "{}".to_owned(),
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
}
