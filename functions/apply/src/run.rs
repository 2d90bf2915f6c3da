//! Runs the operations of a batch in order, and collects those that remain open.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, StreamExt, stream};
use lambda_shell::sqs_event::receives;
use rules::work::coalesce::{POISON_RECEIVES, groups, suspect_groups};
use rules::{OperationId, Resource, ResourceId};
use world::{Host, Invocation, Outcomes, Resources};

use crate::batch::{Batch, Delivered, Open, handed_back};
use crate::{Apply, CONCURRENCY};

/// The operations on a resource, in order.
type InOrder<'a> = BTreeMap<OperationId, Delivered<'a>>;

impl<H: Host, R: Resource, S: Resources, O: Outcomes, I, Q> Apply<H, R, S, O, I, Q> {
    /// Applies the operations on several resources concurrently.
    pub(crate) async fn apply_healthy<'a>(
        &self,
        by_resource: BTreeMap<ResourceId, InOrder<'a>>,
        invocation: &Invocation,
    ) -> Batch<'a> {
        let resources = by_resource.into_values().map(|delivered| {
            let groups = groups(delivered.into_values().collect(), of);
            self.apply_groups(groups, None, invocation)
        });
        let mut resources = stream::iter(resources).buffer_unordered(CONCURRENCY);
        let mut batch = Batch::default();
        while let Some(applied) = resources.next().await {
            batch.extend(applied);
        }
        batch
    }

    /// Applies the operations that may have ended an earlier process, one group at a time. Their
    /// order is random: otherwise an operation that ends the process each time would always stop
    /// the same other operations. `open` maps each resource to its oldest open operation in the
    /// rest of the batch.
    pub(crate) async fn apply_suspects<'a>(
        &self,
        by_resource: BTreeMap<ResourceId, InOrder<'a>>,
        open: &BTreeMap<ResourceId, OperationId>,
        invocation: &Invocation,
    ) -> Batch<'a> {
        let mut resources: Vec<_> =
            by_resource.into_iter().map(|one| (self.host.random(), one)).collect();
        resources.sort_by_key(|(random, _)| *random);
        let mut batch = Batch::default();
        for (_, (resource, delivered)) in resources {
            let delivered = delivered.into_values().collect();
            let groups = suspect_groups(delivered, of, || self.host.random());
            let oldest_open = open.get(&resource).copied();
            batch.extend(self.apply_groups(groups, oldest_open, invocation).await);
        }
        batch
    }

    /// Applies groups of operations on one resource. A conditional operation waits for an older one
    /// that is open, since its precondition may depend on it.
    async fn apply_groups<'a>(
        &self,
        groups: Vec<Vec<Delivered<'a>>>,
        mut oldest_open: Option<OperationId>,
        invocation: &Invocation,
    ) -> Batch<'a> {
        let mut batch = Batch::default();
        for group in groups {
            let waits = |Delivered { operation, .. }: &Delivered<'_>| {
                operation.is_conditional() && oldest_open.is_some_and(|open| open < operation.id)
            };
            let applied = if group.iter().any(waits) {
                group.into_iter().map(|one| (one, Some(Open::Waits))).collect()
            } else {
                self.apply_safely(group, invocation).await
            };
            for (delivered, open) in applied {
                let Some(open) = open else {
                    batch.finished.extend(delivered.messages);
                    continue;
                };
                let id = delivered.operation.id;
                oldest_open = Some(oldest_open.map_or(id, |oldest: OperationId| oldest.min(id)));
                let received = delivered.messages.iter().map(|message| receives(message)).max();
                let is_poison = open == Open::Panicked && received >= Some(POISON_RECEIVES);
                let of = if is_poison { &mut batch.poison } else { &mut batch.handed_back };
                of.extend(handed_back(delivered, open));
            }
        }
        batch
    }

    /// Applies a group. After a panic, its operations run again one by one, so only the one that
    /// panics suffers.
    async fn apply_safely<'a>(
        &self,
        group: Vec<Delivered<'a>>,
        invocation: &Invocation,
    ) -> Vec<(Delivered<'a>, Option<Open>)> {
        let undecided = self.catch(&group, invocation).await;
        if undecided.is_some() || group.len() == 1 {
            let with_reason = |one| {
                let open = why_open(&one, undecided.as_deref());
                (one, open)
            };
            return group.into_iter().map(with_reason).collect();
        }
        let mut applied = Vec::new();
        for one in group {
            let undecided = self.catch(std::slice::from_ref(&one), invocation).await;
            let open = why_open(&one, undecided.as_deref());
            applied.push((one, open));
        }
        applied
    }

    /// The operations of a group that still have no outcome; `None` after a panic.
    async fn catch(
        &self,
        group: &[Delivered<'_>],
        invocation: &Invocation,
    ) -> Option<Vec<OperationId>> {
        let operations: Vec<_> = group.iter().map(of).collect();
        let applied = AssertUnwindSafe(self.apply_group(operations, invocation)).catch_unwind();
        // The panic hook prints the panic itself.
        applied.await.ok()
    }
}

fn of<'b>(delivered: &'b Delivered<'_>) -> &'b rules::Operation {
    &delivered.operation
}

/// Why an operation is open after a run; `None` if it is not. `undecided` has the operations that
/// the run left without an outcome; it is `None` if the run panicked.
fn why_open(delivered: &Delivered<'_>, undecided: Option<&[OperationId]>) -> Option<Open> {
    match undecided {
        None => Some(Open::Panicked),
        Some(undecided) => undecided.contains(&delivered.operation.id).then_some(Open::Undecided),
    }
}
