//! The adopter's resource, with an update that does what the plan of its PUT says.

use std::time::Duration;

use rules::resource::Example;
use rules::{Operation, Problem, ProblemType, Resource, Updated};
use tests::thing::Thing;
use world::Host as _;

use crate::events::Event;
use crate::host::Invocation;

/// The kind of resource, as an invocation sees it.
pub struct Simulated<const HAS_UPDATE: bool>(pub Invocation);

/// What the update does with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Passes,
    Refuses,
    RefusesAtTimes,
    /// Until it is fixed.
    TriesLater,
    TriesLaterAtTimes,
    /// At times it takes more time than there is.
    HangsAtTimes,
    /// It takes more time than there is, until it is fixed.
    Hangs,
    /// Until it is fixed.
    Panics,
    /// Until it is fixed.
    EndsTheProcess,
}

impl Behaviour {
    /// All except the usual one.
    pub const ODD: [Self; 8] = [
        Self::Refuses,
        Self::RefusesAtTimes,
        Self::TriesLater,
        Self::TriesLaterAtTimes,
        Self::HangsAtTimes,
        Self::Hangs,
        Self::Panics,
        Self::EndsTheProcess,
    ];

    /// Whether it may prevent an operation from being carried out until it is fixed.
    pub fn is_broken(self) -> bool {
        matches!(self, Self::TriesLater | Self::Hangs | Self::Panics | Self::EndsTheProcess)
    }

    pub fn may_refuse(self) -> bool {
        matches!(self, Self::Refuses | Self::RefusesAtTimes)
    }
}

impl<const HAS_UPDATE: bool> Resource for Simulated<HAS_UPDATE> {
    const PATH: &'static str = Thing::PATH;
    const OWNER: &'static str = Thing::OWNER;
    const EXAMPLE: Example = Thing::EXAMPLE;
    const HAS_UPDATE: bool = HAS_UPDATE;

    async fn update(&self, operation: &Operation, time_left: Duration) -> Updated {
        self.0.update(operation, time_left).await
    }
}

impl Invocation {
    async fn update(&self, operation: &Operation, time_left: Duration) -> Updated {
        self.about_to_update(operation, time_left);
        let world = &self.world;
        let behaviour = world.history().behaviour_of(operation);
        world.scheduler.sleep(world.delay()).await;
        let at_times = || world.prng().chance(500);
        match behaviour {
            _ if world.is_fixed.get() && behaviour.is_broken() => {}
            Behaviour::RefusesAtTimes if at_times() => return self.refused(),
            Behaviour::Refuses => return self.refused(),
            Behaviour::TriesLaterAtTimes if at_times() => return self.later(),
            Behaviour::TriesLater => return self.later(),
            Behaviour::HangsAtTimes if at_times() => self.hang(time_left).await,
            Behaviour::Hangs => self.hang(time_left).await,
            Behaviour::Panics => {
                world.count(Event::Panic);
                if self.sending.is_some() {
                    // put is built to abort.
                    world.scheduler.die().await;
                }
                // Without the hook, which would print every panic.
                std::panic::resume_unwind(Box::new("the update panics"))
            }
            Behaviour::EndsTheProcess => world.scheduler.die().await,
            _ => {}
        }
        self.told.updated.borrow_mut().insert(operation.origin);
        Updated::Done
    }

    fn refused(&self) -> Updated {
        self.world.count(Event::RefusedByUpdate);
        // A problem that asks the client to repeat the request is not a refusal, and becomes one.
        let problem_type = self.world.prng().pick(&[ProblemType::Refused, ProblemType::NotRead]);
        Updated::Refused(Problem::new(problem_type, "The update refused it."))
    }

    fn later(&self) -> Updated {
        self.world.count(Event::TriedLater);
        self.told.has_tried_later.set(true);
        Updated::TryLater("not now".to_owned())
    }

    async fn hang(&self, time_left: Duration) {
        self.world.count(Event::UpdateCutOff);
        self.told.has_tried_later.set(true);
        self.sleep(time_left * 2 + Duration::from_millis(1)).await;
    }
}
