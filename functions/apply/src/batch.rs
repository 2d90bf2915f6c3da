//! A batch: which records brought which operation, and what becomes of them.

use aws_lambda_events::sqs::SqsMessage;
use rules::Operation;

/// An operation of the batch, with the record that brought it; with several where SQS
/// delivered it more than once.
#[derive(Debug)]
pub(crate) struct Delivered<'a> {
    pub operation: Operation,
    pub records: Vec<&'a SqsMessage>,
}

/// What becomes of the records of a batch.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    pub finished: Vec<&'a SqsMessage>,
    pub handed_back: Vec<&'a SqsMessage>,
}

impl<'a> Batch<'a> {
    pub fn sort_in(&mut self, records: Vec<&'a SqsMessage>, is_open: bool) {
        if is_open { self.handed_back.extend(records) } else { self.finished.extend(records) }
    }

    pub fn extend(&mut self, other: Self) {
        self.finished.extend(other.finished);
        self.handed_back.extend(other.handed_back);
    }
}
