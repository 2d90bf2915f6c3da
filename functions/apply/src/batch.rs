//! A batch: the messages of each operation, and which are finished.

use std::collections::BTreeMap;

use aws_lambda_events::sqs::SqsMessage;
use rules::{Operation, OperationId, ResourceId};
use world::{Level, Report};

/// An operation of the batch with its message, or with several if SQS delivered it more than once.
#[derive(Debug)]
pub(crate) struct Delivered<'a> {
    pub operation: Operation,
    pub messages: Vec<&'a SqsMessage>,
}

/// A message that SQS must deliver again.
#[derive(Debug)]
pub(crate) struct HandedBack<'a> {
    pub message: &'a SqsMessage,
    /// Its operation, if that can be read.
    pub operation: Option<(OperationId, ResourceId)>,
    /// The reason, and the level of its log line.
    pub reason: (Level, String),
}

impl<'a> HandedBack<'a> {
    /// Adds the ids of the message to a report.
    pub fn about<'b>(&'b self, report: Report<'b>) -> Report<'b>
    where
        'a: 'b,
    {
        let report = report.message(self.message.message_id.as_deref());
        match &self.operation {
            Some((operation, resource)) => report.resource(resource).operation(*operation),
            None => report,
        }
    }
}

/// Why an operation is open after its group ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// It has no outcome yet.
    Undecided,
    /// The code panicked on it.
    Panicked,
    /// Its precondition may depend on an older operation that is open.
    Waits,
}

impl Open {
    pub fn reason(self) -> (Level, &'static str) {
        match self {
            Self::Undecided => (Level::Warn, "it could not be carried out in this batch"),
            Self::Panicked => (Level::Error, "a panic"),
            Self::Waits => (Level::Warn, "it waits for an older operation on its resource"),
        }
    }
}

/// The messages of a batch, sorted by result.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    pub finished: Vec<&'a SqsMessage>,
    pub handed_back: Vec<HandedBack<'a>>,
    /// The messages for the dead-letter queue.
    pub poison: Vec<HandedBack<'a>>,
}

impl<'a> Batch<'a> {
    pub fn extend(&mut self, other: Self) {
        self.finished.extend(other.finished);
        self.handed_back.extend(other.handed_back);
        self.poison.extend(other.poison);
    }

    /// For each resource, the oldest operation that SQS must deliver again.
    pub fn oldest_open(&self) -> BTreeMap<ResourceId, OperationId> {
        let mut oldest_open = BTreeMap::new();
        for (id, resource) in self.handed_back.iter().filter_map(|one| one.operation.clone()) {
            let oldest = oldest_open.entry(resource).or_insert(id);
            *oldest = id.min(*oldest);
        }
        oldest_open
    }
}

/// The messages of an open operation, which SQS must deliver again.
pub(crate) fn handed_back<'a>(delivered: Delivered<'a>, open: Open) -> Vec<HandedBack<'a>> {
    let (level, reason) = open.reason();
    let Delivered { operation, messages } = delivered;
    let hand_back = |message| HandedBack {
        message,
        operation: Some((operation.id, operation.resource.clone())),
        reason: (level, reason.to_owned()),
    };
    messages.into_iter().map(hand_back).collect()
}
