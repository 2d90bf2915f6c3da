//! The effect of a failed call.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rules::Failure;
use world::CallError;

use crate::http::{ByReusedConnection, NoReply, Stage};

/// The failure of `action`, such as `dynamodb:UpdateItem`, with this SDK error.
#[must_use]
pub fn call_error<E>(action: &'static str, error: &SdkError<E, HttpResponse>) -> CallError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    let is_by_reused = match error {
        SdkError::ServiceError(reply) => reply.raw().extension::<ByReusedConnection>().is_some(),
        error => stage(error) == Some(Stage::Sent { reused: true }),
    };
    let error = CallError::new(action, classify(error), reason(error));
    if is_by_reused { error.by_reused_connection() } else { error }
}

/// Why the call failed. It leaves out the response's body, which may contain a resource.
fn reason<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: Error + ProvideErrorMetadata + 'static,
{
    if let SdkError::ServiceError(service) = error {
        let metadata = service.err().meta();
        let code = metadata.code().unwrap_or("an error without a code");
        let message = metadata.message().unwrap_or_default();
        let request_id = service.raw().headers().get("x-amzn-requestid").unwrap_or_default();
        return format!("{code}: {message} (request {request_id})");
    }
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |reason, cause| format!("{reason}: {cause}"))
}

/// The effect of a call that ended in `error`. If that is uncertain, the call counts as one that
/// may have landed.
fn classify<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => Failure::NeverLands,
        SdkError::DispatchFailure(_) if stage(error) == Some(Stage::Connecting) => {
            Failure::NotLanded
        }
        SdkError::ServiceError(error) => {
            by_code(error.err().code().unwrap_or_default(), error.raw().status().as_u16())
        }
        _ => Failure::MayHaveLanded,
    }
}

/// The errors of DynamoDB and SQS that refuse a call temporarily, before any effect.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>
const REFUSED_FOR_NOW: &[&str] = &[
    "KmsThrottled",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
];

/// The errors of a call that may still have had its effect.
const CUT_SHORT: &[&str] =
    &["RequestAbortedException", "RequestTimeoutException", "TransactionInProgressException"];

fn by_code(code: &str, status: u16) -> Failure {
    // A service qualifies some codes, as in `AWS.SimpleQueueService.OverLimit`.
    let code = code.rsplit(['.', '#']).next().unwrap_or(code);
    if REFUSED_FOR_NOW.contains(&code) || status == 429 {
        Failure::NotLanded
    } else if CUT_SHORT.contains(&code) || status == 408 || !(400..500).contains(&status) {
        // This includes a success with an unreadable body.
        Failure::MayHaveLanded
    } else {
        Failure::NeverLands
    }
}

/// The stage of a call that got no reply.
fn stage(error: &(dyn Error + 'static)) -> Option<Stage> {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    causes.find_map(|cause| cause.downcast_ref()).map(|NoReply { stage, .. }| *stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every error that the models of DynamoDB and SQS name for the calls made here, and those
    /// common to all services.
    #[test]
    fn every_error_is_classified() {
        let refused_for_now = "ProvisionedThroughputExceededException \
            ReplicatedWriteConflictException RequestLimitExceeded ThrottlingException \
            com.amazon.coral.availability#ThrottlingException TransactionConflictException \
            RequestThrottled AWS.SimpleQueueService.OverLimit KmsThrottled \
            KMS.ThrottlingException Throttling";
        let may_have_landed =
            "TransactionInProgressException RequestAbortedException RequestTimeoutException";
        let never = "ConditionalCheckFailedException IdempotentParameterMismatchException \
            InvalidEndpointException ItemCollectionSizeLimitExceededException \
            ResourceNotFoundException ValidationException \
            AWS.SimpleQueueService.NonExistentQueue InvalidAddress InvalidIdFormat \
            InvalidMessageContents InvalidSecurity KmsAccessDenied KmsDisabled \
            KmsInvalidKeyUsage KmsInvalidState KmsNotFound KmsOptInRequired MessageNotInflight \
            QueueDoesNotExist ReceiptHandleIsInvalid UnsupportedOperation AccessDeniedException \
            ExpiredTokenException InvalidSignatureException UnrecognizedClientException";
        for (codes, expected) in [
            (refused_for_now, Failure::NotLanded),
            (may_have_landed, Failure::MayHaveLanded),
            (never, Failure::NeverLands),
        ] {
            for code in codes.split(' ') {
                assert_eq!(by_code(code, 400), expected, "{code}");
            }
        }
        // Without a code that is known; a success is one whose reply cannot be read.
        for status in [200, 307, 408, 500, 502, 503, 504] {
            assert_eq!(by_code("InternalFailure", status), Failure::MayHaveLanded, "{status}");
        }
        assert_eq!(
            [400, 429].map(|status| by_code("", status)),
            [Failure::NeverLands, Failure::NotLanded]
        );
    }
}
