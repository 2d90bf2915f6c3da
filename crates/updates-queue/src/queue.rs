//! The calls on the queue.

use std::time::Duration;

use aws_calls::CallError;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
};
use aws_types::SdkConfig;
use rules::Failure;

use crate::Message;

const SEND_MESSAGE: &str = "sqs:SendMessage";
const CHANGE_VISIBILITY: &str = "sqs:ChangeMessageVisibility";

/// The queue of deferred PUTs.
#[derive(Clone, Debug)]
pub struct UpdatesQueue {
    client: Client,
    url: String,
}

impl UpdatesQueue {
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
        let built = |error| CallError::new(SEND_MESSAGE, Failure::NeverLands, error);
        let mut call = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(&message.body)
            .message_group_id(message.user.as_str());
        for (name, value) in message.attributes() {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value);
            call = call.message_attributes(name, value.build().map_err(built)?);
        }
        if let Some(trace) = trace {
            let value =
                MessageSystemAttributeValue::builder().data_type("String").string_value(trace);
            call = call.message_system_attributes(
                MessageSystemAttributeNameForSends::AwsTraceHeader,
                value.build().map_err(built)?,
            );
        }
        let sent = call.send().await;
        sent.map(|_| ()).map_err(|error| CallError::from_sdk(SEND_MESSAGE, &error))
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
        sent.map(|_| ()).map_err(|error| CallError::from_sdk(CHANGE_VISIBILITY, &error))
    }
}
