//! The calls on the queue.

use std::time::Duration;

use aws_calls::CallError;
use aws_lambda_events::sqs::SqsMessage;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageSystemAttributeNameForSends::AwsTraceHeader;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeValue};
use aws_types::SdkConfig;
use rules::Failure;

use crate::Message;

const SEND_MESSAGE: &str = "sqs:SendMessage";
const DELETE_MESSAGE: &str = "sqs:DeleteMessage";
const CHANGE_VISIBILITY: &str = "sqs:ChangeMessageVisibility";

/// One of the queues that a deferred PUT passes through.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    /// Sends a message, with the user as its group so that one busy user does not
    /// delay the others (SQS fair queues), and an X-Ray trace header if there is one.
    ///
    /// # Errors
    /// [`CallError`], whose `failure` tells whether the message may be in the queue.
    pub async fn send(&self, message: &Message, trace: Option<&str>) -> Result<(), CallError> {
        let mut call = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(&message.body)
            .message_group_id(message.user.as_str());
        for (name, value) in message.attributes() {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value);
            call = call.message_attributes(name, value.build().map_err(not_built)?);
        }
        if let Some(trace) = trace {
            call = call.message_system_attributes(AwsTraceHeader, trace_header(trace)?);
        }
        let sent = call.send().await;
        sent.map(drop).map_err(|error| CallError::from_sdk(SEND_MESSAGE, &error))
    }

    /// Sends a received message on, unchanged: body, attributes, group and trace header.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn forward(&self, record: &SqsMessage) -> Result<(), CallError> {
        let system = |name| record.attributes.get(name).cloned();
        let mut call = self
            .client
            .send_message()
            .queue_url(&self.url)
            .set_message_body(record.body.clone())
            .set_message_group_id(system("MessageGroupId"));
        for (name, attribute) in &record.message_attributes {
            let value = MessageAttributeValue::builder()
                .set_data_type(attribute.data_type.clone())
                .set_string_value(attribute.string_value.clone())
                .set_binary_value(
                    attribute.binary_value.as_ref().map(|data| Blob::new(data.0.clone())),
                );
            call = call.message_attributes(name, value.build().map_err(not_built)?);
        }
        if let Some(trace) = system("AWSTraceHeader") {
            call = call.message_system_attributes(AwsTraceHeader, trace_header(&trace)?);
        }
        let sent = call.send().await;
        sent.map(drop).map_err(|error| CallError::from_sdk(SEND_MESSAGE, &error))
    }

    /// Deletes a received message.
    ///
    /// # Errors
    /// [`CallError`]; the message then comes back after its visibility timeout.
    pub async fn delete(&self, receipt_handle: &str) -> Result<(), CallError> {
        let delete =
            self.client.delete_message().queue_url(&self.url).receipt_handle(receipt_handle);
        let sent = delete.send().await;
        sent.map(drop).map_err(|error| CallError::from_sdk(DELETE_MESSAGE, &error))
    }

    /// Hides a received message for `timeout` from now on, in whole seconds.
    ///
    /// # Errors
    /// [`CallError`]; the message then comes back after the queue's own timeout.
    pub async fn hide(&self, receipt_handle: &str, timeout: Duration) -> Result<(), CallError> {
        let seconds = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX);
        let sent = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(seconds)
            .send()
            .await;
        sent.map(drop).map_err(|error| CallError::from_sdk(CHANGE_VISIBILITY, &error))
    }
}

fn trace_header(trace: &str) -> Result<MessageSystemAttributeValue, CallError> {
    let value = MessageSystemAttributeValue::builder().data_type("String").string_value(trace);
    value.build().map_err(not_built)
}

fn not_built(error: BuildError) -> CallError {
    CallError::new(SEND_MESSAGE, Failure::NeverLands, error)
}
