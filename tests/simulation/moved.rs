//! The mutants that step over newer ids otherwise than the rule says: where a write is
//! refused, they make it again under another id than the function knows, or tell the function
//! of another version than the one that is stored.

use rules::{Operation, OperationId, Precondition, Tick, Version};
use world::{CallError, Host as _};

use crate::host::Invocation;
use crate::mutants::Mutant;

impl Invocation {
    /// The id that an operation of the function goes by.
    pub fn moved(&self, id: OperationId) -> OperationId {
        self.told.moved.get().filter(|(from, _)| *from == id).map_or(id, |(_, to)| to)
    }

    /// Gives an operation that was refused another id than `known_as`; whether it is to be
    /// written again.
    pub async fn moves(
        &self,
        operation: &mut Operation,
        known_as: OperationId,
        stored: Option<Version>,
    ) -> Result<bool, CallError> {
        let (Some(mutant), Some(stored)) = (self.world.mutant, stored) else { return Ok(false) };
        let (stored, id) = (stored.written_by, operation.id);
        let is_free = self.sending.is_some()
            && self.told.failed_calls.get() == 0
            && operation.precondition == Precondition::None
            && stored > id;
        let is_claimed = self.told.claimed.get() == Some(id);
        let may_step = match mutant {
            Mutant::WindowIsLonger => is_within(operation.origin, 1100, stored),
            Mutant::WindowIsTwice => is_within(operation.origin, 2000, stored),
            Mutant::WindowMoves => is_within(id, 1000, stored),
            Mutant::ClaimFollows => is_claimed,
            _ => false,
        };
        if !is_free || !may_step || is_claimed != (mutant == Mutant::ClaimFollows) {
            return Ok(false);
        }
        let to = stored.successor(self.random());
        if is_claimed {
            let moved = self.on_tables("claim", move |tables, _| tables.move_claim(id, to)).await?;
            let Some((put, _)) = self.sending.filter(|_| moved) else { return Ok(false) };
            self.world.history().on_claim_moved(put, id, to);
            self.told.claimed.set(Some(to));
            operation.origin = to;
        }
        operation.id = to;
        self.told.moved.set(Some((known_as, to)));
        self.makes(operation);
        Ok(true)
    }

    /// The version that the function is told of, where its write was refused.
    pub fn shown(&self, operation: &Operation, stored: Option<Version>) -> Option<Version> {
        let window_ms = match self.world.mutant {
            Some(Mutant::NeverSteps) => 0,
            Some(Mutant::WindowIsAQuarter) => 250,
            _ => return stored,
        };
        stored.map(|stored| match is_within(operation.origin, window_ms, stored.written_by) {
            true => stored,
            false => {
                let later = Tick::from_unix_ms(stored.written_by.tick().unix_ms() + 3_600_000);
                Version { written_by: OperationId::new(later, 0), ..stored }
            }
        })
    }
}

fn is_within(from: OperationId, window_ms: u64, id: OperationId) -> bool {
    id.tick() <= Tick::from_unix_ms(from.tick().unix_ms() + window_ms)
}
