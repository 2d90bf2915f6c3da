//! The adopter's slow work before a write, which behaves as the plan of its PUT says.

use std::time::Duration;

use apply::{Work, Worked};
use rules::{Operation, Problem, ProblemType};
use world::Host as _;

use crate::events::Event;
use crate::host::Invocation;

/// What the work before the write does with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Passes,
    Refuses,
    RefusesAtTimes,
    /// Until it is mended.
    TriesLater,
    TriesLaterAtTimes,
    /// It takes more time than there is, at times.
    TakesLongAtTimes,
    /// Until it is mended.
    Panics,
    /// Until it is mended.
    EndsTheProcess,
}

impl Behaviour {
    /// Whether it may keep an operation from being carried out until it is mended.
    pub fn is_broken(self) -> bool {
        matches!(self, Self::TriesLater | Self::Panics | Self::EndsTheProcess)
    }

    pub fn may_refuse(self) -> bool {
        matches!(self, Self::Refuses | Self::RefusesAtTimes)
    }
}

impl Work for Invocation {
    async fn before_write(&self, operation: &Operation, time_left: Duration) -> Worked {
        let behaviour = self.world.history().behaviour_of(operation);
        let refused = || {
            self.world.count(Event::RefusedByWork);
            Worked::Refused(Problem::new(ProblemType::Refused, "The work refused it."))
        };
        let later = || {
            self.world.count(Event::TriedLater);
            Worked::TryLater("not now".to_owned())
        };
        let at_times = || self.world.prng().chance(500);
        let worked = match behaviour {
            _ if self.world.is_mended.get() && behaviour.is_broken() => Worked::Done,
            Behaviour::Refuses => refused(),
            Behaviour::RefusesAtTimes if at_times() => refused(),
            Behaviour::TriesLater => later(),
            Behaviour::TriesLaterAtTimes if at_times() => later(),
            Behaviour::TakesLongAtTimes if at_times() => {
                self.world.count(Event::WorkTookLong);
                self.sleep(time_left * 2 + Duration::from_millis(1)).await;
                Worked::Done
            }
            Behaviour::Panics => {
                self.world.count(Event::Panic);
                // Without the hook, which would print each one.
                std::panic::resume_unwind(Box::new("the work panics"))
            }
            Behaviour::EndsTheProcess => {
                self.world.scheduler.die().await;
                Worked::Done
            }
            _ => Worked::Done,
        };
        if worked == Worked::Done {
            self.told.worked.borrow_mut().insert(operation.id);
        }
        worked
    }
}
