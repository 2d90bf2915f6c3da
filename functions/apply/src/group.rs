//! One group of operations of a user: makes the calls that the rules ask for.

use std::time::{Duration, SystemTime};

use aws_calls::CallError;
use lambda_shell::{host, log};
use rules::apply::{Call, Decision, Group};
use rules::status::OutcomeRecord;
use rules::{OperationId, Problem, ProblemType};
use updates_queue::Message;
use users_table::Applied;

use crate::{Apply, update};

/// What must be left of the invocation to make a call: its timeout, and the answer.
const TIME_FOR_A_CALL: Duration = Duration::from_secs(5);

impl Apply {
    /// Decides a group of messages of one user, sorted; returns the operations that are
    /// still without an outcome.
    pub(crate) async fn apply_group(
        &self,
        messages: &[&Message],
        deadline: SystemTime,
    ) -> Vec<OperationId> {
        let operations = messages.iter().map(|message| (message.id, message.precondition.clone()));
        let mut group = Group::new(operations.collect());
        while let Some(call) = group.next_call().filter(|_| has_time_for_a_call(deadline)) {
            let pause = match self.make(&call, messages, &mut group).await {
                Ok(pause) => pause,
                Err(error) => {
                    let undecided: Vec<_> = group.undecided().collect();
                    let user = messages.first().map(|message| message.user.as_str());
                    tracing::warn!(user, operations = ?undecided, failure = ?error.failure, %error, "a call failed");
                    group.on_failed(error.failure, host::random())
                }
            };
            tokio::time::sleep(pause).await;
        }
        group.undecided().collect()
    }

    /// Makes a call and tells the group of its reply; returns the pause that is due.
    async fn make(
        &self,
        call: &Call,
        messages: &[&Message],
        group: &mut Group,
    ) -> Result<Duration, CallError> {
        #[expect(clippy::expect_used, reason = "a group asks only for operations it was given")]
        let message_of = |id| messages.iter().find(|message| message.id == id).expect("is given");
        match call {
            Call::Write { id, superseded } => {
                let message = message_of(*id);
                if let Err(problem) = update::before_write(message).await {
                    self.record(message, Decision::Refused, Some(&problem)).await?;
                    group.on_refused_before_write();
                    group.on_recorded();
                    return Ok(Duration::ZERO);
                }
                let now = host::now();
                let Message { user, precondition, body, .. } = message;
                match self.tables.apply(user, *id, body, precondition, superseded, now).await? {
                    Applied::Written => group.on_written(),
                    Applied::Refused { user: refused, decided } => {
                        let at = refused.map(|stored| stored.map(|stored| stored.id));
                        // The time of the reply: a user written while the call was under way
                        // is not ahead of the clock.
                        return Ok(group.on_refused(at, &decided, host::now(), host::random()));
                    }
                }
            }
            Call::Record { id, decision } => {
                let message = message_of(*id);
                self.record(message, *decision, problem(*decision).as_ref()).await?;
                group.on_recorded();
            }
        }
        Ok(Duration::ZERO)
    }

    async fn record(
        &self,
        message: &Message,
        decision: Decision,
        problem: Option<&Problem>,
    ) -> Result<(), CallError> {
        if let Decision::ClockSkew = decision {
            tracing::error!(user = %message.user, operation = %message.id, "the stored user is ahead of the clock");
            log::count("ClockSkews");
        }
        let record = OutcomeRecord {
            outcome: decision.outcome(),
            completed_at: host::now(),
            problem: problem.and_then(|problem| serde_json::to_string(problem).ok()),
            is_provisional: false,
        };
        self.tables.record_outcome(&message.user, message.id, &record).await.map(drop)
    }
}

/// What the client of a failed operation is told.
fn problem(decision: Decision) -> Option<Problem> {
    let (kind, detail) = match decision {
        Decision::Succeeded | Decision::Superseded | Decision::Refused => return None,
        Decision::PreconditionFailed => (
            ProblemType::PreconditionFailed,
            "The stored user was not what the precondition asks for when the PUT was carried out; read the user and decide anew.",
        ),
        Decision::ClockSkew => (
            ProblemType::ClockSkew,
            "The stored user was written under a clock far ahead, so the order is not known; send the PUT again without Prefer: respond-async.",
        ),
    };
    Some(Problem::new(kind, detail))
}

fn has_time_for_a_call(deadline: SystemTime) -> bool {
    deadline.duration_since(SystemTime::now()).is_ok_and(|left| left >= TIME_FOR_A_CALL)
}
