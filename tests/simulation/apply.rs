//! The workers of `apply`: the event source that invokes it, and the calls of
//! `functions/apply`, in their order, around its rules.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use rules::apply::{Call, Decision, Group};
use rules::batch::{POISON_RECEIVES, SUSPECT_RECEIVES, groups};
use rules::inline::Reply;
use rules::status::Outcome;
use rules::{Failure, OperationId, backoff};
use users_table::Applied;

use crate::events::Event;
use crate::history::{Behaviour, UserIndex};
use crate::mutants::Mutant;
use crate::queue::{Record, Update};
use crate::scheduler::{SECOND, Time, join_all};
use crate::tables::{Grounds, OutcomeItem, UserWrite};
use crate::world::{Host, World};

/// What must be left of the invocation to make a call.
const TIME_FOR_A_CALL: Time = 5 * SECOND;

/// An operation of the batch, with the records that brought it.
struct Operation {
    update: Update,
    records: Vec<Record>,
}

/// The step before the write panicked.
struct Panicked;

#[derive(Default)]
struct Batch {
    finished: Vec<Record>,
    handed_back: Vec<Record>,
}

impl Batch {
    fn sort_in(&mut self, records: Vec<Record>, is_open: bool) {
        if is_open { self.handed_back.extend(records) } else { self.finished.extend(records) }
    }
}

/// Polls the queue and invokes the function, like Lambda's event source: of a batch that
/// returns, what is not handed back is deleted; one that is killed comes back by itself.
pub async fn poll(world: Rc<World>, host: Rc<Host>) {
    while !world.is_over.get() {
        let records = receive(&world);
        if records.is_empty() {
            world.idle(&world.updates).await;
            continue;
        }
        world.trace(&host.name, || {
            let brought = records.iter().map(|record| (record.update.put, record.receives));
            format!("receives (#, times) {:?}", brought.collect::<Vec<_>>())
        });
        world.under_way.set(world.under_way.get() + 1);
        invoke(&world, &host, records).await;
        world.under_way.set(world.under_way.get() - 1);
    }
}

/// Receives a batch; what was received too often goes to the dead letters.
fn receive(world: &World) -> Vec<Record> {
    let received = world.updates.borrow_mut().receive(world.now(), &mut world.prng());
    let mut history = world.history();
    history.counts.add(Event::Redelivered, received.redelivered);
    history.counts.add(Event::Duplicate, received.duplicates);
    for update in received.redrive {
        history.count(Event::DeadLettered);
        world.dead_letters.borrow_mut().send(update, world.now());
    }
    received.records
}

async fn invoke(world: &Rc<World>, host: &Rc<Host>, records: Vec<Record>) {
    if world.is(Mutant::DeletedFirst) {
        for record in &records {
            world.updates.borrow_mut().delete(record.message);
        }
    }
    let (invocation, timeout) = (world.plan.invocation, world.plan.invocation);
    let worker = Worker {
        world: Rc::clone(world),
        host: Rc::clone(host),
        deadline: world.now() + invocation,
    };
    let batch = records.clone();
    let handler = async move { worker.handle(batch).await };
    match world.scheduler.run_process(world.fuse(), Some(timeout), handler).await {
        Some(handed_back) => {
            for record in records {
                if !handed_back.contains(&record.message) {
                    delete(world, &record).await;
                }
            }
        }
        None => {
            world.trace(&host.name, || "is killed".to_owned());
            world.count(Event::ApplyKilled);
            let pause = world.delay();
            world.scheduler.sleep(pause).await;
        }
    }
}

/// Deletes a message, which may come back all the same.
async fn delete(world: &World, record: &Record) {
    let pause = world.delay();
    world.scheduler.sleep(pause).await;
    if world.fault(world.plan.faults.delete) {
        world.count(Event::DeleteFailed);
    } else {
        world.updates.borrow_mut().delete(record.message);
    }
}

struct Worker {
    world: Rc<World>,
    host: Rc<Host>,
    deadline: Time,
}

/// A group, and what its last refusal was judged on.
struct Judged {
    group: Group,
    seen: Option<OperationId>,
    at: Duration,
}

impl Worker {
    /// `Apply::handle`: the numbers of the messages to hand back.
    async fn handle(&self, records: Vec<Record>) -> Vec<u64> {
        let mut by_user: BTreeMap<UserIndex, BTreeMap<OperationId, Operation>> = BTreeMap::new();
        let mut suspects = Vec::new();
        for record in records {
            let update = record.update.clone();
            if record.receives >= SUSPECT_RECEIVES {
                suspects.push(Operation { update, records: vec![record] });
            } else {
                let operations = by_user.entry(update.user).or_default();
                let operation = operations.entry(update.id);
                let new = Operation { update, records: Vec::new() };
                operation.or_insert(new).records.push(record);
            }
        }
        let users = by_user.into_values().map(|operations| self.apply_user(operations));
        let mut batch = Batch::default();
        for applied in join_all(users).await {
            batch.finished.extend(applied.finished);
            batch.handed_back.extend(applied.handed_back);
        }
        if !suspects.is_empty() {
            suspects.sort_by_key(|operation| operation.update.id);
            for record in &batch.finished {
                delete(&self.world, record).await;
            }
            self.apply_suspects(suspects, &mut batch).await;
        }
        for record in &batch.handed_back {
            self.back_off(record).await;
        }
        batch.handed_back.iter().map(|record| record.message).collect()
    }

    /// `Apply::apply_user`
    async fn apply_user(&self, operations: BTreeMap<OperationId, Operation>) -> Batch {
        let operations: Vec<_> = operations.into_values().collect();
        let groups = if self.world.is(Mutant::CoalesceConditional) {
            vec![operations]
        } else {
            groups(operations, |operation| (operation.update.id, &operation.update.precondition))
        };
        let mut batch = Batch::default();
        for group in groups {
            let open = self.apply_safely(&group).await;
            for Operation { update, records } in group {
                let is_open = open.as_ref().is_none_or(|open| open.contains(&update.id));
                batch.sort_in(records, is_open);
            }
        }
        batch
    }

    /// `Apply::apply_suspects`
    async fn apply_suspects(&self, suspects: Vec<Operation>, batch: &mut Batch) {
        for operation in suspects {
            self.world.count(Event::Suspect);
            let open = self.apply_safely(std::slice::from_ref(&operation)).await;
            for record in operation.records {
                match &open {
                    Some(open) => batch.sort_in(vec![record], !open.is_empty()),
                    None if record.receives >= POISON_RECEIVES => {
                        let (world, update) = (&self.world, record.update.clone());
                        let sent = world.send(&self.host.name, |world| &world.dead_letters, update);
                        let is_sent = sent.await.is_ok();
                        if is_sent {
                            self.world.count(Event::Poison);
                        }
                        batch.sort_in(vec![record], !is_sent);
                    }
                    None => batch.handed_back.push(record),
                }
            }
        }
    }

    /// `Apply::apply_safely`: the operations without an outcome; `None` after a panic.
    async fn apply_safely(&self, group: &[Operation]) -> Option<Vec<OperationId>> {
        let applied = self.apply_group(group).await;
        if applied.is_err() {
            self.world.count(Event::Panic);
        }
        applied.ok()
    }

    /// `Apply::apply_group`
    async fn apply_group(&self, operations: &[Operation]) -> Result<Vec<OperationId>, Panicked> {
        let given = operations.iter().map(|operation| &operation.update);
        let given = given.map(|update| (update.id, update.precondition.clone())).collect();
        let mut judged = Judged { group: Group::new(given), seen: None, at: Duration::ZERO };
        while let Some(call) = judged.group.next_call() {
            if self.world.now() + TIME_FOR_A_CALL > self.deadline {
                self.world.count(Event::OutOfTime);
                break;
            }
            let pause = match self.make(&call, operations, &mut judged).await? {
                Ok(pause) => pause,
                Err(_) if self.world.is(Mutant::SupersededUnseen) => {
                    let newer = judged.group.undecided().max().map(|newest| newest.successor(0));
                    self.judge(&mut judged, Some(newer), &[], self.world.time_of(&self.host))
                }
                Err(failure) => judged.group.on_failed(failure, self.world.random()),
            };
            self.world.sleep(pause).await;
        }
        Ok(judged.group.undecided().collect())
    }

    /// `Apply::make`
    async fn make(
        &self,
        call: &Call,
        operations: &[Operation],
        judged: &mut Judged,
    ) -> Result<Result<Duration, Failure>, Panicked> {
        self.world.trace(&self.host.name, || format!("calls {call:?}"));
        let made = match call {
            Call::Write { id, superseded } => {
                let Some(update) = update_of(operations, *id) else { return Err(Panicked) };
                if self.before_write(update).await? {
                    self.write(update, superseded, judged).await
                } else {
                    self.refuse(update, &mut judged.group).await
                }
            }
            Call::Record { id, decision } => {
                self.decide(*id, *decision, judged.seen, judged.at).await.map(|()| {
                    judged.group.on_recorded();
                    Duration::ZERO
                })
            }
        };
        Ok(made)
    }

    async fn write(
        &self,
        update: &Update,
        superseded: &[OperationId],
        judged: &mut Judged,
    ) -> Result<Duration, Failure> {
        let write = UserWrite {
            user: update.user,
            body: update.put,
            id: update.id,
            precondition: update.precondition.clone(),
        };
        let before = self.world.time_of(&self.host);
        match self.transact(write, superseded.to_vec()).await? {
            Applied::Written => {
                self.world.count(Event::Applied);
                judged.group.on_written();
                Ok(Duration::ZERO)
            }
            Applied::Refused { user, decided } => {
                self.world.history().counts.add(Event::AlreadyDecided, decided.len() as u64);
                let at = user.map(|stored| stored.map(|stored| stored.id));
                let is_stale = self.world.is(Mutant::JudgedByAnOldClock);
                let now = if is_stale { before } else { self.world.time_of(&self.host) };
                Ok(self.judge(judged, at, &decided, now))
            }
        }
    }

    fn judge(
        &self,
        judged: &mut Judged,
        at: Option<Option<OperationId>>,
        decided: &[OperationId],
        now: Duration,
    ) -> Duration {
        (judged.seen, judged.at) = (at.flatten(), now);
        judged.group.on_refused(at, decided, now, self.world.random())
    }

    /// User and outcomes in one transaction, or what a mutant makes of it.
    async fn transact(
        &self,
        write: UserWrite,
        superseded: Vec<OperationId>,
    ) -> Result<Applied, Failure> {
        let (world, id) = (&self.world, write.id);
        let timeout = world.plan.call_timeout;
        let is_outcome_first = world.is(Mutant::OutcomeBeforeWrite);
        if !is_outcome_first && !world.is(Mutant::OutcomeAfterWrite) {
            let transaction =
                world.on_tables(&self.host.name, timeout, move |tables, now, history| {
                    tables.apply(&write, &superseded, now, history)
                });
            return transaction.await;
        }
        let at = world.time_of(&self.host);
        if is_outcome_first {
            self.decide(id, Decision::Succeeded, None, at).await?;
        }
        let call = world.on_tables(&self.host.name, timeout, move |tables, now, history| {
            tables.write_user(&write, now, history)
        });
        if let Reply::Refused { stored } = call.await? {
            return Ok(Applied::Refused { user: Some(stored), decided: Vec::new() });
        }
        for older in superseded {
            self.decide(older, Decision::Superseded, Some(id), at).await?;
        }
        if !is_outcome_first {
            self.decide(id, Decision::Succeeded, None, at).await?;
        }
        Ok(Applied::Written)
    }

    async fn refuse(&self, update: &Update, group: &mut Group) -> Result<Duration, Failure> {
        let grounds = Grounds::RefusedBeforeWrite;
        self.record(update.id, Outcome::Failed, grounds).await?;
        group.on_refused_before_write();
        group.on_recorded();
        if group.undecided().next().is_some() {
            self.world.count(Event::NextOlder);
        }
        Ok(Duration::ZERO)
    }

    async fn decide(
        &self,
        id: OperationId,
        decision: Decision,
        seen: Option<OperationId>,
        at: Duration,
    ) -> Result<(), Failure> {
        let decision = match decision {
            Decision::ClockSkew if self.world.is(Mutant::SkewSupersedes) => Decision::Superseded,
            other => other,
        };
        let grounds = Grounds::Judged { decision, seen, at };
        self.record(id, decision.outcome(), grounds).await
    }

    /// `Apply::record`
    async fn record(
        &self,
        id: OperationId,
        outcome: Outcome,
        grounds: Grounds,
    ) -> Result<(), Failure> {
        let item = OutcomeItem { outcome, is_provisional: false, grounds };
        let timeout = self.world.plan.call_timeout;
        let call = self.world.on_tables(&self.host.name, timeout, move |tables, now, history| {
            tables.record(id, item, now, history)
        });
        call.await.map(drop)
    }

    /// `update::before_write`: whether it lets the update pass.
    async fn before_write(&self, update: &Update) -> Result<bool, Panicked> {
        let behaviour = self.world.history().put(update.put).behaviour;
        match behaviour {
            Behaviour::Passes => Ok(true),
            Behaviour::Refuses => Ok(false),
            Behaviour::RefusesAtTimes => Ok(self.world.prng().chance(500)),
            Behaviour::Panics | Behaviour::EndsTheProcess if self.world.is_mended.get() => Ok(true),
            Behaviour::Panics => Err(Panicked),
            Behaviour::EndsTheProcess => {
                self.world.scheduler.die().await;
                Ok(false)
            }
        }
    }

    /// `Apply::back_off`
    async fn back_off(&self, record: &Record) {
        self.world.count(Event::HandedBack);
        let timeout = backoff::visibility(record.receives, self.world.random());
        let (message, timeout_us) = (record.message, timeout.as_micros() as Time);
        let call_timeout = self.world.plan.call_timeout;
        let call = self.world.call(&self.host.name, call_timeout, move |world| {
            world.updates.borrow_mut().hide(message, world.now() + timeout_us);
        });
        // The message then comes back after the queue's own visibility timeout.
        let _ = call.await;
    }
}

fn update_of(operations: &[Operation], id: OperationId) -> Option<&Update> {
    operations.iter().map(|operation| &operation.update).find(|update| update.id == id)
}
