//! Operations that clients cancel.

use rules::outcome::Recorded;
use rules::{OperationId, ProblemType};
use world::Host as _;

use super::reads::TOLD_FOR;
use super::records::{Kind, kind};
use super::{CARRIED_OUT_FOR, History};
use crate::events::Event;
use crate::host::Invocation;

impl History {
    /// A problem in the answer to a PUT has named the status URL of an operation.
    pub fn on_named(&mut self, invocation: &Invocation, id: OperationId) {
        let (put, owner) = (invocation.sending.map(|(put, _)| put), self.owner(id));
        self.check(owner == put, || format!("named: {id} of {owner:?} to the client of {put:?}"));
        self.fates.entry(id).or_default().is_named = true;
    }

    /// A client asks to cancel an operation.
    pub fn on_cancel(&mut self, id: OperationId) {
        self.fates.entry(id).or_default().cancels += 1;
    }

    /// A call is about to record the cancellation.
    pub fn on_cancelling(&mut self, id: OperationId, record: &Recorded) {
        let is_it = matches!(record, Recorded::Decided(by) if kind(&by.outcome) == Kind::Cancelled);
        self.check(is_it, || format!("cancel: {id} would be recorded as {record:?}"));
    }

    /// The client that cancels an operation gets the answer that it is done, or a problem.
    pub fn on_cancel_answered(
        &mut self,
        invocation: &Invocation,
        id: OperationId,
        answer: Result<(), ProblemType>,
    ) {
        use ProblemType as P;
        let decided = self.kind_of(id);
        let age = invocation.now().saturating_sub(id.tick().to_unix());
        let has_failed = invocation.told.failed_calls.get() > 0;
        let latest = invocation.now().max(invocation.world.true_time());
        let is_forgotten = self.is_forgotten(id, latest);
        let fate = self.fates.entry(id).or_default();
        let event = match answer {
            Ok(()) if fate.is_told_cancelled => Event::CancelledAgain,
            Ok(()) => Event::Cancelled,
            Err(P::AlreadyDecided) => Event::TooLateToCancel,
            Err(_) => Event::NotCancelled,
        };
        fate.is_told_cancelled |= answer.is_ok();
        fate.vain_cancels += u32::from(matches!(answer, Err(P::NotWritten | P::AlreadyDecided)));
        let is_true = match (answer, decided) {
            (Ok(()), decided) => decided == Some(Kind::Cancelled),
            (Err(P::AlreadyDecided), Some(kind)) => kind != Kind::Cancelled,
            (Err(P::AlreadyDecided), None) => age > CARRIED_OUT_FOR,
            (Err(P::OperationGone), _) => age > TOLD_FOR && is_forgotten,
            (Err(P::NotWritten | P::OutcomeUnknown), _) => has_failed,
            (Err(_), _) => false,
        };
        self.count(event);
        self.check(is_true, || {
            format!("cancel: {id} is {decided:?} at an age of {age:?}, its client got {answer:?}")
        });
    }

    /// Checks that a client may have cancelled this operation, which is now recorded as cancelled.
    pub(super) fn check_cancelled(&mut self, id: OperationId) {
        let fate = self.fates.entry(id).or_default();
        let (cancels, vain) = (fate.cancels, fate.vain_cancels);
        self.check(cancels > vain, || {
            format!(
                "cancel: {id} is cancelled, though {vain} of {cancels} clients heard that it is not"
            )
        });
    }
}
