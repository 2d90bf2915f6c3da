//! Calls: a request, its effect and a reply, as separate steps. Each may be lost, and a request may
//! take effect after its caller has stopped waiting.

use std::cell::Cell;
use std::rc::Rc;

use rules::Failure;
use world::CallError;

use crate::events::Event;
use crate::host::Invocation;
use crate::mutants::Mutant;
use crate::scheduler::SECOND;

/// What goes wrong with calls.
const FAULTS: [Event; 6] = [
    Event::Throttled,
    Event::NoConnection,
    Event::NeverLands,
    Event::RequestLost,
    Event::ReplyLost,
    Event::Late,
];

impl Invocation {
    /// Makes a call, whose `effect` takes one step.
    ///
    /// # Errors
    /// What the caller knows about a call without a reply.
    pub async fn call<T: 'static>(
        &self,
        action: &'static str,
        effect: impl FnOnce(&Self) -> T + 'static,
    ) -> Result<T, CallError> {
        let (world, timeout) = (&self.world, self.call_timeout);
        let fault = FAULTS.into_iter().find(|fault| world.fails(*fault));
        self.about_to_call(action);
        // A call without a reply has failed, also if its caller gives it up.
        self.told.failed_calls.set(self.told.failed_calls.get() + 1);
        let (to, fro) = (world.delay(), world.delay());
        let arrives = match fault {
            None | Some(Event::ReplyLost) => Some(to),
            Some(Event::Late) => {
                Some(timeout.min(4 * SECOND) + world.prng().skewed(world.plan.longest_lateness))
            }
            Some(_) => None,
        };
        let reply = Rc::new(Cell::new(None));
        if let Some(arrives) = arrives {
            let (reply, caller) = (Rc::clone(&reply), self.clone());
            world.begin();
            world.scheduler.later(arrives, move || {
                if arrives > timeout {
                    caller.world.count(Event::LateLanding);
                    caller.trace(|| format!("a late {action} lands"));
                }
                reply.set(Some(effect(&caller)));
                caller.world.finish();
            });
        }
        let answered = match fault {
            Some(Event::RequestLost) => timeout,
            _ => arrives.map_or(to, |arrives| arrives + fro),
        };
        world.scheduler.sleep(answered.min(timeout)).await;
        if let Some(reply) = reply.take().filter(|_| fault != Some(Event::ReplyLost)) {
            self.told.failed_calls.set(self.told.failed_calls.get() - 1);
            return Ok(reply);
        }
        let failure = match fault {
            Some(Event::Throttled | Event::NoConnection) => Failure::NotLanded,
            Some(Event::NeverLands) => Failure::NeverLands,
            _ if world.is(Mutant::LostReplyIsNotLanded) => Failure::NotLanded,
            _ => Failure::MayHaveLanded,
        };
        self.trace(|| format!("{action} gets no reply: {failure:?}"));
        let error = CallError::new(action, failure, "no reply");
        let is_by_reused = failure.may_have_landed() && world.prng().chance(500);
        Err(if is_by_reused { error.by_reused_connection() } else { error })
    }
}
