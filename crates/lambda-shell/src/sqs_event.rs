//! Batches of SQS messages.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use lambda_runtime::Error;

/// How many times SQS has delivered the message, including this one.
#[must_use]
pub fn receives(record: &SqsMessage) -> u32 {
    let count = record.attributes.get("ApproximateReceiveCount");
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// The answer that makes SQS deliver these records again
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
///
/// # Errors
/// If one of them has no message id. If the answer had an empty identifier, Lambda would silently
/// treat the whole batch as failed; if it left the message out, SQS would delete the message.
pub fn batch_response(handed_back: &[&SqsMessage]) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    for record in handed_back {
        let id = record.message_id.clone().filter(|id| !id.is_empty());
        let mut failure = BatchItemFailure::default();
        failure.item_identifier =
            id.ok_or("a record that must be handed back has no message id")?;
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_a_readable_count_is_at_its_first_receive() {
        let with = |count: &str| {
            let mut record = SqsMessage::default();
            record.attributes.insert("ApproximateReceiveCount".to_owned(), count.to_owned());
            receives(&record)
        };
        assert_eq!(
            [receives(&SqsMessage::default()), with(""), with("x"), with("4")],
            [1, 1, 1, 4]
        );
    }

    #[test]
    fn a_record_without_an_id_fails_the_batch() {
        let mut named = SqsMessage::default();
        named.message_id = Some("m1".to_owned());
        let mut empty = SqsMessage::default();
        empty.message_id = Some(String::new());
        let response = batch_response(&[&named]).unwrap();
        assert_eq!(response.batch_item_failures[0].item_identifier, "m1");
        assert!(batch_response(&[&named, &empty]).is_err());
        assert!(batch_response(&[&SqsMessage::default()]).is_err());
    }
}
