//! What a function reports: one line of its log, and what is measured in it.

use rules::{Failure, OperationId, Problem, ProblemType, ResourceId};

use crate::{CallError, Invocation};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $unit:ident,)*) => {
        /// What is measured, beside what AWS measures by itself.
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

            /// What its values are counted in, as CloudWatch names units.
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
    /// `put` refused an operation, or to cancel one, permanently: 409 or 412.
    Refused: Count,
    /// `put` wrote and queued nothing: 503.
    NotWritten: Count,
    /// `put` does not know whether an operation was or will be carried out: 503.
    OutcomeUnknown: Count,
    /// `read` could not read a table: 503.
    NotRead: Count,
    /// A request was refused since the gateway's clock and the host's differ too much: 503.
    ClockSkews: Count,
    /// A caller who may not do this: 403.
    Forbidden: Count,
    /// A deferred operation was carried out.
    Applied: Count,
    /// A resource was deleted, by `put` itself or deferred.
    Deleted: Count,
    /// An operation was cancelled by its client.
    Cancelled: Count,
    /// From the arrival of an operation until `apply` had carried it out.
    AcceptToApply: Milliseconds,
    /// A deferred operation lost to a newer one.
    Superseded: Count,
    /// A deferred operation lost to a newer one beside it, in that one's transaction.
    Coalesced: Count,
    /// A deferred operation was refused permanently.
    Failed: Count,
    /// A deferred operation is too old to be carried out, and was dropped.
    Expired: Count,
    /// `apply` gave a message back to the queue, to try again later.
    HandedBack: Count,
    /// How long such a message has been in the queue.
    HandedBackAge: Seconds,
    /// Messages of one batch of `apply`.
    BatchSize: Count,
    /// How far the clock that gave an arrival was ahead of the queue's, at most in a batch.
    ClockLead: Milliseconds,
    /// A message was parked for an operator.
    Parked: Count,
    /// The operation of a parked message was marked as stalled.
    Stalled: Count,
    /// A call that failed is to be made again.
    Retries: Count,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Info,
    /// A failure that a retry repairs, or that the answer to the client names.
    Warn,
    /// An operator should look.
    Error,
}

/// One line of the log, with the ids of what it is about and what is measured in it. It
/// has no place for a body.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// How much it matters.
    pub level: Level,
    /// What happened.
    pub message: &'static str,
    /// The id of the invocation.
    pub request_id: &'a str,
    /// The resource that it is about.
    pub resource: Option<&'a ResourceId>,
    /// The operation it is about.
    pub operation: Option<OperationId>,
    /// The message it is about.
    pub message_id: Option<&'a str>,
    /// What the client was told.
    pub problem: Option<ProblemType>,
    /// What a failed call leaves behind.
    pub failure: Option<Failure>,
    /// Why it happened.
    pub reason: Option<String>,
    /// What is measured.
    pub metrics: Vec<(Metric, i64)>,
}

impl<'a> Report<'a> {
    /// Something is as it should be.
    #[must_use]
    pub fn info(invocation: &'a Invocation, message: &'static str) -> Self {
        Self::new(Level::Info, invocation, message)
    }

    /// Something failed that a retry repairs, or that the answer to the client names.
    #[must_use]
    pub fn warn(invocation: &'a Invocation, message: &'static str) -> Self {
        Self::new(Level::Warn, invocation, message)
    }

    /// Something failed that an operator should look at.
    #[must_use]
    pub fn error(invocation: &'a Invocation, message: &'static str) -> Self {
        Self::new(Level::Error, invocation, message)
    }

    /// A caller was refused, and told this.
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

    /// It is about this resource.
    #[must_use]
    pub fn resource(self, resource: &'a ResourceId) -> Self {
        Self { resource: Some(resource), ..self }
    }

    /// It is about this operation.
    #[must_use]
    pub fn operation(self, operation: OperationId) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// It is about the message of this id, if it has one.
    #[must_use]
    pub fn message(self, message_id: Option<&'a str>) -> Self {
        Self { message_id, ..self }
    }

    /// The client was told this.
    #[must_use]
    pub fn problem(self, problem: ProblemType) -> Self {
        Self { problem: Some(problem), ..self }
    }

    /// It happened for this reason, which holds no body.
    #[must_use]
    pub fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// It happened since this call failed.
    #[must_use]
    pub fn failed(self, error: &CallError) -> Self {
        Self { failure: Some(error.failure), ..self }.because(error.to_string())
    }

    /// Whether the call that failed is made again.
    #[must_use]
    pub fn retried(self, is_retried: bool) -> Self {
        if is_retried { self.count(Metric::Retries) } else { self }
    }

    /// It counts once in this metric.
    #[must_use]
    pub fn count(self, metric: Metric) -> Self {
        self.value(metric, 1)
    }

    /// It is this value of the metric.
    #[must_use]
    pub fn value(mut self, metric: Metric, value: i64) -> Self {
        self.metrics.push((metric, value));
        self
    }
}
