//! A batch: which records brought which operation, and what becomes of them.

use aws_lambda_events::sqs::SqsMessage;
use rules::{Operation, OperationId, ResourceId};
use world::{Level, Report};

/// An operation of the batch, with the record that brought it; with several where SQS
/// delivered it more than once.
#[derive(Debug)]
pub(crate) struct Delivered<'a> {
    pub operation: Operation,
    pub records: Vec<&'a SqsMessage>,
}

/// A record that SQS must deliver again.
#[derive(Debug)]
pub(crate) struct HandedBack<'a> {
    pub record: &'a SqsMessage,
    /// Its operation, where that can be read.
    pub operation: Option<(OperationId, ResourceId)>,
    /// Why, and how much that matters.
    pub reason: (Level, String),
}

impl<'a> HandedBack<'a> {
    /// Puts the ids of the record into a report.
    pub fn about<'b>(&'b self, report: Report<'b>) -> Report<'b>
    where
        'a: 'b,
    {
        let report = report.message(self.record.message_id.as_deref());
        match &self.operation {
            Some((operation, resource)) => report.resource(resource).operation(*operation),
            None => report,
        }
    }
}

/// What becomes of the records of a batch.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    pub finished: Vec<&'a SqsMessage>,
    pub handed_back: Vec<HandedBack<'a>>,
}

impl<'a> Batch<'a> {
    /// Finishes what was delivered, unless it is left open for this reason.
    pub fn sort_in(&mut self, delivered: Delivered<'a>, is_open: Option<(Level, &str)>) {
        let Delivered { operation, records } = delivered;
        let Some((level, reason)) = is_open else { return self.finished.extend(records) };
        self.handed_back.extend(records.into_iter().map(|record| HandedBack {
            record,
            operation: Some((operation.id, operation.resource.clone())),
            reason: (level, reason.to_owned()),
        }));
    }

    pub fn extend(&mut self, other: Self) {
        self.finished.extend(other.finished);
        self.handed_back.extend(other.handed_back);
    }
}
