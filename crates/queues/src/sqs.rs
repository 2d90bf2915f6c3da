//! The calls on the queue.

use std::sync::OnceLock;
use std::time::Duration;

use aws_calls::call_error;
use aws_lambda_events::sqs::SqsMessage;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageSystemAttributeNameForSends::AwsTraceHeader;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeValue};
use aws_types::SdkConfig;
use rules::{Failure, Operation};
use world::{CallError, Inbox, Outbox};

use crate::trace;

const SEND_MESSAGE: &str = "sqs:SendMessage";
const DELETE_MESSAGE: &str = "sqs:DeleteMessage";
const CHANGE_VISIBILITY: &str = "sqs:ChangeMessageVisibility";

/// A queue in SQS.
#[derive(Clone, Debug)]
pub struct Sqs {
    config: SdkConfig,
    client: OnceLock<Client>,
    url: String,
}

impl Sqs {
    /// The queue at `url`.
    #[must_use]
    pub fn new(config: SdkConfig, url: String) -> Self {
        Self { config, client: OnceLock::new(), url }
    }

    /// The client, created lazily like the client of the tables.
    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(&self.config))
    }
}

impl Outbox for Sqs {
    async fn send(&self, operation: &Operation, trace: Option<&str>) -> Result<(), CallError> {
        let mut call = self
            .client()
            .send_message()
            .queue_url(&self.url)
            .message_body(crate::message::body(operation))
            .message_group_id(operation.resource.as_str());
        for (name, value) in crate::message::attributes(operation) {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value);
            call = call.message_attributes(name, value.build().map_err(not_built)?);
        }
        if let Some(trace) = trace.and_then(trace::header) {
            call = call.message_system_attributes(AwsTraceHeader, system_attribute(trace)?);
        }
        let sent = call.send().await;
        sent.map(drop).map_err(|error| call_error(SEND_MESSAGE, &error))
    }

    async fn forward(&self, message: &SqsMessage) -> Result<(), CallError> {
        let system = |name| message.attributes.get(name).cloned();
        let mut call = self
            .client()
            .send_message()
            .queue_url(&self.url)
            .set_message_body(message.body.clone())
            .set_message_group_id(system("MessageGroupId"));
        for (name, attribute) in &message.message_attributes {
            let value = MessageAttributeValue::builder()
                .set_data_type(attribute.data_type.clone())
                .set_string_value(attribute.string_value.clone())
                .set_binary_value(
                    attribute.binary_value.as_ref().map(|data| Blob::new(data.0.clone())),
                );
            call = call.message_attributes(name, value.build().map_err(not_built)?);
        }
        if let Some(trace) = system("AWSTraceHeader").as_deref().and_then(trace::header) {
            call = call.message_system_attributes(AwsTraceHeader, system_attribute(trace)?);
        }
        let sent = call.send().await;
        sent.map(drop).map_err(|error| call_error(SEND_MESSAGE, &error))
    }
}

impl Inbox for Sqs {
    async fn delete(&self, receipt_handle: &str) -> Result<(), CallError> {
        let delete =
            self.client().delete_message().queue_url(&self.url).receipt_handle(receipt_handle);
        let sent = delete.send().await;
        sent.map(drop).map_err(|error| call_error(DELETE_MESSAGE, &error))
    }

    async fn hide(&self, receipt_handle: &str, timeout: Duration) -> Result<(), CallError> {
        let seconds = i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX);
        let sent = self
            .client()
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(seconds)
            .send()
            .await;
        sent.map(drop).map_err(|error| call_error(CHANGE_VISIBILITY, &error))
    }
}

fn system_attribute(value: String) -> Result<MessageSystemAttributeValue, CallError> {
    let value = MessageSystemAttributeValue::builder().data_type("String").string_value(value);
    value.build().map_err(not_built)
}

fn not_built(error: BuildError) -> CallError {
    CallError::new(SEND_MESSAGE, Failure::NeverLands, error)
}
