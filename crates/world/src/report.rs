//! What a function reports: one line of its log, with its metrics.

use rules::{Failure, OperationId, Problem, ProblemType, ResourceId};

use crate::{CallError, Invocation};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $unit:ident,)*) => {
        /// The metrics, in addition to those of AWS.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric { $($(#[$doc])* $name,)* }

        impl Metric {
            /// Every metric.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in CloudWatch.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// Its unit, as CloudWatch names units.
            #[must_use]
            pub const fn unit(self) -> &'static str {
                match self { $(Self::$name => stringify!($unit)),* }
            }
        }
    };
}

metrics! {
    /// `put` queued an operation: 202.
    Accepted: Count,
    /// `put` wrote or deleted a resource itself.
    WrittenInline: Count,
    /// `put` permanently refused an operation, or refused to cancel one: 409 or 412.
    Refused: Count,
    /// `put` wrote and queued nothing: 503.
    NotWritten: Count,
    /// `put` does not know whether an operation was carried out or will be: 503.
    OutcomeUnknown: Count,
    /// `read` could not read a table: 503.
    NotRead: Count,
    /// `put` refused a request, since the gateway's clock and the host's differ too much: 503.
    ClockSkews: Count,
    /// A function refused a caller: 403.
    Forbidden: Count,
    /// A deferred operation was carried out.
    Applied: Count,
    /// A resource was deleted, by `put` itself or deferred.
    Deleted: Count,
    /// A client cancelled an operation.
    Cancelled: Count,
    /// The time from the arrival of an operation until `apply` had carried it out.
    AcceptToApply: Milliseconds,
    /// A deferred operation lost to a newer one.
    Superseded: Count,
    /// A deferred operation lost to a newer one in the same transaction.
    Coalesced: Count,
    /// A deferred operation was refused permanently.
    Failed: Count,
    /// A deferred operation was dropped, since it is too old.
    Expired: Count,
    /// `apply` handed a message back to the queue, to try again later.
    HandedBack: Count,
    /// How long that message has been in the queue.
    HandedBackAge: Seconds,
    /// The messages in one batch of `apply`.
    BatchSize: Count,
    /// The most by which the gateway's clock was ahead of the queue's, in one batch.
    ClockLead: Milliseconds,
    /// A message was parked for an operator.
    Parked: Count,
    /// The operation of a parked message was marked as stalled.
    Stalled: Count,
    /// A failed call is made again.
    Retries: Count,
}

/// The level of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Normal operation.
    Info,
    /// A failure that a retry repairs, or that the answer reports to the client.
    Warn,
    /// A failure for an operator.
    Error,
}

/// One line of the log, with its ids and metrics. It has no place for a body.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The level.
    pub level: Level,
    /// What happened.
    pub message: &'static str,
    /// The id of the invocation.
    pub request_id: &'a str,
    /// The resource.
    pub resource: Option<&'a ResourceId>,
    /// The operation.
    pub operation: Option<OperationId>,
    /// The id of the SQS message.
    pub message_id: Option<&'a str>,
    /// The problem in the answer to the client.
    pub problem: Option<ProblemType>,
    /// The effect of a failed call.
    pub failure: Option<Failure>,
    /// Why it happened.
    pub reason: Option<String>,
    /// The metrics, with their values.
    pub metrics: Vec<(Metric, i64)>,
}

impl<'a> Report<'a> {
    /// A report of normal operation.
    #[must_use]
    pub fn info(invocation: &'a Invocation, message: &'static str) -> Self {
        Self::new(Level::Info, invocation, message)
    }

    /// A report of a failure that a retry repairs, or that the answer reports to the client.
    #[must_use]
    pub fn warn(invocation: &'a Invocation, message: &'static str) -> Self {
        Self::new(Level::Warn, invocation, message)
    }

    /// A report of a failure for an operator.
    #[must_use]
    pub fn error(invocation: &'a Invocation, message: &'static str) -> Self {
        Self::new(Level::Error, invocation, message)
    }

    /// A report of a caller that was refused with this problem.
    #[must_use]
    pub fn forbidden(invocation: &'a Invocation, problem: &Problem) -> Self {
        let report = Self::warn(invocation, "refused a caller").problem(problem.problem_type());
        report.because(problem.detail()).count(Metric::Forbidden)
    }

    fn new(level: Level, invocation: &'a Invocation, message: &'static str) -> Self {
        Self {
            level,
            message,
            request_id: &invocation.request_id,
            resource: None,
            operation: None,
            message_id: None,
            problem: None,
            failure: None,
            reason: None,
            metrics: Vec::new(),
        }
    }

    /// Adds the resource.
    #[must_use]
    pub fn resource(self, resource: &'a ResourceId) -> Self {
        Self { resource: Some(resource), ..self }
    }

    /// Adds the operation.
    #[must_use]
    pub fn operation(self, operation: OperationId) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Adds the id of the SQS message, if there is one.
    #[must_use]
    pub fn message(self, message_id: Option<&'a str>) -> Self {
        Self { message_id, ..self }
    }

    /// Adds the problem in the answer to the client.
    #[must_use]
    pub fn problem(self, problem: ProblemType) -> Self {
        Self { problem: Some(problem), ..self }
    }

    /// Adds the reason, which must not contain a body.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// Adds the failed call: its effect and the reason.
    #[must_use]
    pub fn failed(self, error: &CallError) -> Self {
        Self { failure: Some(error.failure), ..self }.because(error.to_string())
    }

    /// Counts a retry if the failed call is made again.
    #[must_use]
    pub fn retried(self, is_retried: bool) -> Self {
        if is_retried { self.count(Metric::Retries) } else { self }
    }

    /// Counts one in this metric.
    #[must_use]
    pub fn count(self, metric: Metric) -> Self {
        self.value(metric, 1)
    }

    /// Adds a value of this metric.
    #[must_use]
    pub fn value(mut self, metric: Metric, value: i64) -> Self {
        self.metrics.push((metric, value));
        self
    }
}
