//! Report: the log line about the answer to a PUT or DELETE.

use rules::{Method, Operation, Problem, ProblemType};
use world::{Host, Invocation, Metric, Report};

use crate::Put;
use crate::answer::{Answer, Ending};
use crate::prepare::WriteRequest;

impl<H: Host, R, S, O, Q> Put<H, R, S, O, Q> {
    /// Reports the answer to a request. Once an operation is decided, further requests with its key
    /// do not count in the metrics.
    pub(crate) fn report(&self, request: &WriteRequest, operation: &Operation, ending: &Ending) {
        let invocation = &request.invocation;
        let report = match &ending.answer {
            _ if ending.is_replay => Report::info(invocation, "repeated an answer"),
            Ok(Answer::Queued) => {
                Report::info(invocation, "queued an operation").count(Metric::Accepted)
            }
            Ok(_) if operation.method() == Method::Delete => {
                let report = Report::info(invocation, "deleted a resource");
                report.count(Metric::WrittenInline).count(Metric::Deleted)
            }
            Ok(Answer::Written { .. } | Answer::Succeeded { .. }) => {
                Report::info(invocation, "wrote a resource").count(Metric::WrittenInline)
            }
            Err(problem) => match problem.problem_type() {
                ProblemType::NotWritten => {
                    Report::warn(invocation, "wrote nothing").count(Metric::NotWritten)
                }
                ProblemType::OutcomeUnknown => {
                    let report = Report::warn(invocation, "the outcome is not known");
                    report.count(Metric::OutcomeUnknown)
                }
                ProblemType::IdempotencyKeyReused => Report::info(invocation, "refused a request"),
                // The resource may refuse with any problem type.
                _ => Report::info(invocation, "refused an operation").count(Metric::Refused),
            },
        };
        let report = report.resource(&operation.resource).operation(operation.id);
        let problem = ending.answer.as_ref().err().map(Problem::problem_type);
        self.host.report(&Report { problem, ..report });
    }

    /// Reports a request that was refused before anything was sent. It leaves out the detail, which
    /// may name a member of the body.
    pub(crate) fn report_refused_request(&self, invocation: &Invocation, problem: &Problem) {
        let problem_type = problem.problem_type();
        let report = Report::info(invocation, "refused a request").problem(problem_type);
        self.host.report(&match problem_type {
            ProblemType::PreconditionFailed => report.count(Metric::Refused),
            _ => report,
        });
    }
}
