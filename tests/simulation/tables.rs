//! The two DynamoDB tables: each method is one call of `users-table`, as the tables
//! carry it out, in one step.

use std::collections::BTreeMap;
use std::time::Duration;

use rules::apply::Decision;
use rules::inline::{Reply, Stored};
use rules::status::Outcome;
use rules::verdict::may_write;
use rules::{OperationId, Precondition};
use users_table::Applied;

use crate::history::{History, PutId, UserIndex};
use crate::mutants::Mutant;
use crate::scheduler::Time;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserItem {
    /// The body of a PUT is the PUT's own number, so that it tells whose it is.
    pub body: PutId,
    pub op: OperationId,
    pub created_by: OperationId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeItem {
    pub outcome: Outcome,
    pub is_provisional: bool,
    pub grounds: Grounds,
}

/// What an outcome rests on. The real item holds a problem document instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// The user was at `before`, and the same transaction wrote `written` over it.
    Transaction { before: Option<OperationId>, written: OperationId },
    /// The verdict of a worker whose clock said `at` on a user it had found at `seen`.
    Judged { decision: Decision, seen: Option<OperationId>, at: Duration },
    /// The step before the write.
    RefusedBeforeWrite,
    /// Dead-lettered.
    Buried,
}

/// A write of a user.
#[derive(Clone, Debug)]
pub struct UserWrite {
    pub user: UserIndex,
    pub body: PutId,
    pub id: OperationId,
    pub precondition: Precondition,
}

pub struct Tables {
    users: BTreeMap<UserIndex, UserItem>,
    outcomes: BTreeMap<OperationId, OutcomeItem>,
    mutant: Option<Mutant>,
}

impl Tables {
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { users: BTreeMap::new(), outcomes: BTreeMap::new(), mutant }
    }

    pub fn user(&self, user: UserIndex) -> Option<UserItem> {
        self.users.get(&user).copied()
    }

    pub fn outcome(&self, id: OperationId) -> Option<OutcomeItem> {
        self.outcomes.get(&id).copied()
    }

    /// `Tables::write_user`
    pub fn write_user(&mut self, write: &UserWrite, now: Time, history: &mut History) -> Reply {
        let before = self.user(write.user);
        if !self.is_condition_true(write) {
            return Reply::Refused { stored: before.map(stored) };
        }
        self.replace(write, now, history);
        Reply::Written { created: Some(before.is_none()) }
    }

    /// `Tables::apply`
    pub fn apply(
        &mut self,
        write: &UserWrite,
        superseded: &[OperationId],
        now: Time,
        history: &mut History,
    ) -> Applied {
        let before = self.user(write.user);
        let is_refused = !self.is_condition_true(write);
        let ids = || std::iter::once(write.id).chain(superseded.iter().copied());
        let decided: Vec<_> = ids().filter(|id| !self.may_put_outcome(*id)).collect();
        if is_refused || !decided.is_empty() {
            // Nobody says that DynamoDB names every reason of a cancelled transaction.
            let is_cut = is_refused && write.id.to_bytes()[15].is_multiple_of(2);
            let decided = if is_cut { Vec::new() } else { decided };
            return Applied::Refused { user: is_refused.then_some(before.map(stored)), decided };
        }
        self.replace(write, now, history);
        let before = before.map(|user| user.op);
        let grounds = Grounds::Transaction { before, written: write.id };
        for id in ids() {
            let outcome = if id == write.id { Outcome::Succeeded } else { Outcome::Superseded };
            let item = OutcomeItem { outcome, is_provisional: false, grounds };
            self.put_outcome(id, item, now, history);
        }
        Applied::Written
    }

    /// `Tables::record_outcome` and `record_provisional_outcome`: whether it was written.
    pub fn record(
        &mut self,
        id: OperationId,
        item: OutcomeItem,
        now: Time,
        history: &mut History,
    ) -> bool {
        let overwrites = self.mutant == Some(Mutant::BuryOverwrites) && item.is_provisional;
        let is_true = self.may_put_outcome(id) || overwrites;
        if is_true {
            self.put_outcome(id, item, now, history);
        }
        is_true
    }

    /// The write condition. The contract test holds `may_write` and the expression that
    /// DynamoDB evaluates together.
    fn is_condition_true(&self, write: &UserWrite) -> bool {
        let UserWrite { id, precondition, .. } = write;
        let stored = self.user(write.user).map(|user| user.op);
        match self.mutant {
            Some(Mutant::NoComparison) => precondition.holds(stored),
            Some(Mutant::LessOrEqual) => {
                precondition.holds(stored) && stored.is_none_or(|stored| stored <= *id)
            }
            _ => may_write(*id, precondition, stored),
        }
    }

    /// `attribute_not_exists(id) OR provisional = :true`
    fn may_put_outcome(&self, id: OperationId) -> bool {
        self.mutant == Some(Mutant::NoOutcomeCheck)
            || self.outcome(id).is_none_or(|item| item.is_provisional)
    }

    fn replace(&mut self, write: &UserWrite, now: Time, history: &mut History) {
        let before = self.user(write.user);
        let created_by = before.map_or(write.id, |before| before.created_by);
        let after = UserItem { body: write.body, op: write.id, created_by };
        self.users.insert(write.user, after);
        history.on_user_written(now, write, before, after);
    }

    fn put_outcome(
        &mut self,
        id: OperationId,
        item: OutcomeItem,
        now: Time,
        history: &mut History,
    ) {
        let before = self.outcomes.insert(id, item);
        history.on_outcome_written(now, id, before, item);
    }
}

fn stored(user: UserItem) -> Stored {
    Stored { id: user.op, created_by: Some(user.created_by) }
}
