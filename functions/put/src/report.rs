//! Report: the line of the log that says what became of a PUT.

use rules::{Problem, ProblemType};
use world::{Host, Metric, Queue, Report, Tables};

use crate::Put;
use crate::answer::Answer;
use crate::prepare::Prepared;

impl<H: Host, T: Tables, Q: Queue> Put<H, T, Q> {
    /// Reports the answer to a PUT. It is counted once, however often it is sent again
    /// under its key after it was decided.
    pub(crate) fn report(&self, put: &Prepared, answer: &Result<Answer, Problem>) {
        let invocation = &put.invocation;
        let report = match answer {
            _ if put.is_replay => Report::info(invocation, "told again what became of a PUT"),
            Ok(Answer::Queued) => Report::info(invocation, "queued a PUT").count(Metric::Accepted),
            Ok(Answer::Written { .. } | Answer::Succeeded { .. }) => {
                Report::info(invocation, "wrote a resource").count(Metric::WrittenInline)
            }
            Err(problem) => match problem.problem_type() {
                ProblemType::NotWritten => {
                    Report::warn(invocation, "wrote nothing").count(Metric::NotWritten)
                }
                ProblemType::OutcomeUnknown => {
                    let report = Report::warn(invocation, "does not know what became of a PUT");
                    report.count(Metric::OutcomeUnknown)
                }
                ProblemType::OrderUnknown => {
                    let report =
                        Report::error(invocation, "the stored resource is ahead of the clock");
                    report.count(Metric::Refused).count(Metric::ClockSkews)
                }
                ProblemType::PreconditionFailed
                | ProblemType::Superseded
                | ProblemType::Refused => {
                    Report::info(invocation, "refused a PUT").count(Metric::Refused)
                }
                _ => Report::info(invocation, "refused a request"),
            },
        };
        let report = report.resource(&put.operation.resource).operation(put.operation.id);
        let problem = answer.as_ref().err().map(Problem::problem_type);
        self.host.report(&Report { problem, ..report });
    }
}
