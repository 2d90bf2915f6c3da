//! Calls: a request, its effect and a reply, as separate steps. Each may be lost, and a
//! request may take effect when its caller no longer waits for it.

use std::cell::Cell;
use std::rc::Rc;

use rules::Failure;
use world::CallError;

use crate::events::Event;
use crate::host::Invocation;
use crate::mutants::Mutant;
use crate::scheduler::{MS, SECOND, Time};
use crate::world::World;

/// How a call ends.
enum Fate {
    Failed(Failure, Event),
    RequestLost,
    ReplyLost,
    /// It takes effect when its caller no longer waits.
    Late,
    Replied,
}

impl Invocation {
    /// Makes a call, whose `effect` takes one step.
    ///
    /// # Errors
    /// What the caller knows of a call that it got no reply to.
    pub async fn call<T: 'static>(
        &self,
        action: &'static str,
        effect: impl FnOnce(&Self) -> T + 'static,
    ) -> Result<T, CallError> {
        let (world, timeout) = (&self.world, self.call_timeout);
        let fate = fate(world);
        self.about_to_call(action);
        // Unless it is replied to, it has failed, also where its caller gives it up.
        self.told.failed_calls.set(self.told.failed_calls.get() + 1);
        let (to, fro) = (world.delay(), world.delay());
        let failed = |failure, event| {
            let failure = match failure {
                Failure::MayHaveLanded if world.is(Mutant::LostReplyIsNotLanded) => {
                    Failure::NotLanded
                }
                failure => failure,
            };
            world.count(event);
            self.trace(|| format!("{action} gets no reply: {failure:?}"));
            let error = CallError::new(action, failure, "no reply");
            let is_by_reused = failure.may_have_landed() && world.prng().chance(500);
            Err(if is_by_reused { error.by_reused_connection() } else { error })
        };
        let arrives = match fate {
            Fate::Failed(failure, event) => {
                world.scheduler.sleep(to.min(timeout)).await;
                return failed(failure, event);
            }
            Fate::RequestLost => {
                world.scheduler.sleep(timeout).await;
                return failed(Failure::MayHaveLanded, Event::RequestLost);
            }
            Fate::Late => {
                timeout.min(4 * SECOND) + world.prng().skewed(world.plan.longest_lateness)
            }
            Fate::ReplyLost | Fate::Replied => to,
        };
        let reply = self.land_after(arrives, arrives > timeout, action, effect);
        world.scheduler.sleep((arrives + fro).min(timeout)).await;
        let reply = reply.take().filter(|_| !matches!(fate, Fate::ReplyLost));
        match reply {
            Some(reply) => {
                self.told.failed_calls.set(self.told.failed_calls.get() - 1);
                Ok(reply)
            }
            None => failed(Failure::MayHaveLanded, Event::ReplyLost),
        }
    }

    fn land_after<T: 'static>(
        &self,
        delay: Time,
        is_late: bool,
        action: &'static str,
        effect: impl FnOnce(&Self) -> T + 'static,
    ) -> Rc<Cell<Option<T>>> {
        let reply = Rc::new(Cell::new(None));
        let (replied, caller) = (Rc::clone(&reply), self.clone());
        self.world.begin();
        self.world.scheduler.later(delay, move || {
            if is_late {
                caller.world.count(Event::LateLanding);
                caller.trace(|| format!("a late {action} lands"));
            }
            replied.set(Some(effect(&caller)));
            caller.world.finish();
        });
        reply
    }
}

fn fate(world: &World) -> Fate {
    let faults = &world.plan.faults;
    if world.is_calm.get() {
        Fate::Replied
    } else if world.fault(faults.throttled) {
        Fate::Failed(Failure::NotLanded, Event::Throttled)
    } else if world.fault(faults.no_connection) {
        Fate::Failed(Failure::NotLanded, Event::NoConnection)
    } else if world.fault(faults.never_lands) {
        Fate::Failed(Failure::NeverLands, Event::NeverLands)
    } else if world.fault(faults.request_lost) {
        Fate::RequestLost
    } else if world.fault(faults.reply_lost) {
        Fate::ReplyLost
    } else if world.fault(faults.late) {
        Fate::Late
    } else {
        Fate::Replied
    }
}

impl World {
    /// A pause of somebody who does something now and then.
    pub async fn pause(&self, longest: Time) {
        let pause = self.prng().skewed(longest).max(MS);
        self.scheduler.sleep(pause).await;
    }
}
