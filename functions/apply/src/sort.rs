//! Sorts the operations of a batch by resource, and separates the suspects.

use std::collections::BTreeMap;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use lambda_shell::sqs_event::receives;
use queues::message::{self, UnreadableMessage};
use rules::work::coalesce::SUSPECT_RECEIVES;
use rules::{Operation, OperationId, ResourceId};

use crate::batch::Delivered;
use crate::sent_ms;

/// The operations on each resource, in order.
type ByResource<'a> = BTreeMap<ResourceId, BTreeMap<OperationId, Delivered<'a>>>;

/// The messages of a batch before they are applied: healthy, suspect and unreadable.
#[derive(Debug, Default)]
pub(crate) struct Sorted<'a> {
    /// The operations that run first, concurrently for each resource.
    pub healthy: ByResource<'a>,
    /// The operations that may have ended an earlier process, and the conditional operations on the
    /// same resources, which may wait for an older suspect.
    pub suspect: ByResource<'a>,
    /// The messages that cannot be read.
    pub unreadable: Vec<(&'a SqsMessage, UnreadableMessage)>,
    /// The largest lead of the gateway's clock over SQS's when a message was sent, in ms.
    pub lead_ms: Option<i64>,
}

impl<'a> Sorted<'a> {
    pub fn new(event: &'a SqsEvent) -> Self {
        let mut sorted = Self::default();
        for message in &event.records {
            match message::read(message) {
                Ok(operation) => {
                    sorted.lead_ms = sorted.lead_ms.max(lead_ms(&operation, message));
                    let is_suspect = receives(message) >= SUSPECT_RECEIVES;
                    let of = if is_suspect { &mut sorted.suspect } else { &mut sorted.healthy };
                    add(of, operation, message);
                }
                Err(error) => sorted.unreadable.push((message, error)),
            }
        }
        for (resource, suspects) in &mut sorted.suspect {
            let Some(healthy) = sorted.healthy.get_mut(resource) else { continue };
            let (conditional, others) =
                std::mem::take(healthy).into_iter().partition(|(id, one): &(_, Delivered<'_>)| {
                    one.operation.is_conditional() || suspects.contains_key(id)
                });
            *healthy = others;
            for (id, one) in BTreeMap::<_, Delivered<'_>>::into_iter(conditional) {
                match suspects.get_mut(&id) {
                    Some(same) => same.messages.extend(one.messages),
                    None => drop(suspects.insert(id, one)),
                }
            }
        }
        sorted
    }
}

fn add<'a>(by_resource: &mut ByResource<'a>, operation: Operation, message: &'a SqsMessage) {
    let delivered = by_resource.entry(operation.resource.clone()).or_default();
    let delivered = delivered.entry(operation.id);
    delivered.or_insert(Delivered { operation, messages: Vec::new() }).messages.push(message);
}

pub(crate) fn lead_ms(operation: &Operation, message: &SqsMessage) -> Option<i64> {
    let arrived = i64::try_from(operation.id.tick().unix_ms()).ok()?;
    arrived.checked_sub(sent_ms(message)?)
}
