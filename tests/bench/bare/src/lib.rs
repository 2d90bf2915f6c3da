//! The common part of the bare functions: clients with the same settings as the project's, and
//! calls with the same content.

use aws_calls::{Account, config, http_client};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use aws_sdk_sqs::types::MessageAttributeValue;
use lambda_runtime::Error;

/// An operation id. It is always the same, which the canned endpoints accept.
pub const OPERATION: &str = "01a1f866-10e8-75a3-9f2e-3d4c5b6a7988";

const CONDITION: &str = "attribute_not_exists(id) OR op < :op";
const UPDATE: &str = "SET body = :body, op = :op, created_by = if_not_exists(created_by, :op)";
const UNDECIDED: &str = "attribute_not_exists(id) OR provisional = :true";

/// The calls of the functions, and nothing else.
#[derive(Debug)]
pub struct Calls {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
}

impl Calls {
    /// Clients with the settings of the environment.
    pub fn from_environment() -> Result<Self, Error> {
        let http = http_client();
        let of = |service: &str| {
            let credentials = Credentials::new(
                std::env::var("AWS_ACCESS_KEY_ID")?,
                std::env::var("AWS_SECRET_ACCESS_KEY")?,
                None,
                None,
                "environment",
            );
            let endpoint_url = Some(std::env::var(format!("AWS_ENDPOINT_URL_{service}"))?);
            let region = std::env::var("AWS_REGION")?;
            Ok::<_, Error>(config(Account { region, credentials, endpoint_url }, http.clone()))
        };
        Ok(Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&of("DYNAMODB")?),
            sqs: aws_sdk_sqs::Client::new(&of("SQS")?),
            queue_url: std::env::var("UPDATES_QUEUE_URL")?,
        })
    }

    /// The conditional write of a resource.
    pub async fn update_item(&self, resource: &str, body: &str) -> Result<(), Error> {
        let call = self.dynamodb.update_item().table_name("resources");
        call.key("id", text(resource))
            .update_expression(UPDATE)
            .condition_expression(CONDITION)
            .expression_attribute_values(":op", text(OPERATION))
            .expression_attribute_values(":body", text(body))
            .return_values(ReturnValue::UpdatedOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await?;
        Ok(())
    }

    /// The write of a resource and of an outcome.
    pub async fn transact(&self, resource: &str, body: &str) -> Result<(), Error> {
        let update = Update::builder()
            .table_name("resources")
            .key("id", text(resource))
            .update_expression(UPDATE)
            .condition_expression(CONDITION)
            .expression_attribute_values(":op", text(OPERATION))
            .expression_attribute_values(":body", text(body))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = Put::builder()
            .table_name("operations")
            .item("id", text(OPERATION))
            .item("resource", text(resource))
            .item("outcome", text("succeeded"))
            .item("completed_at", AttributeValue::N("1795168801020".to_owned()))
            .item("expires_at", AttributeValue::N("1800352801".to_owned()))
            .condition_expression(UNDECIDED)
            .expression_attribute_values(":true", AttributeValue::Bool(true));
        self.dynamodb
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(update.build()?).build())
            .transact_items(TransactWriteItem::builder().put(put.build()?).build())
            .send()
            .await?;
        Ok(())
    }

    /// The read after a transaction, which shows whether the answer is 201 or 200.
    pub async fn get_creator(&self, resource: &str) -> Result<(), Error> {
        let call = self.dynamodb.get_item().table_name("resources").key("id", text(resource));
        call.projection_expression("created_by").consistent_read(true).send().await?;
        Ok(())
    }

    /// The claim of a key.
    pub async fn put_claim(&self) -> Result<(), Error> {
        let call = self.dynamodb.put_item().table_name("operations");
        call.item("id", text("key#n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"))
            .item("fingerprint", text("n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"))
            .item("op", text(OPERATION))
            .item("expires_at", AttributeValue::N("1800352801".to_owned()))
            .condition_expression("attribute_not_exists(id) OR expires_at <= :now")
            .expression_attribute_values(":now", AttributeValue::N("1795168801".to_owned()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await?;
        Ok(())
    }

    /// A strongly consistent read; returns the attribute `body`, if there is one.
    pub async fn get_item(&self, table: &str, id: &str) -> Result<Option<String>, Error> {
        let call = self.dynamodb.get_item().table_name(table).key("id", text(id));
        let reply = call.consistent_read(true).send().await?;
        let body = reply.item.and_then(|mut item| item.remove("body"));
        Ok(body.and_then(|body| match body {
            AttributeValue::S(body) => Some(body),
            _ => None,
        }))
    }

    /// The message of a deferred write.
    pub async fn send_message(&self, resource: &str, body: &str) -> Result<(), Error> {
        let mut call = self.sqs.send_message().queue_url(&self.queue_url);
        call = call.message_body(body).message_group_id(resource);
        for (name, value) in [("version", "1"), ("operation", OPERATION), ("resource", resource)] {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value);
            call = call.message_attributes(name, value.build()?);
        }
        call.send().await?;
        Ok(())
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}
