#!/usr/bin/env python3
"""Makes protocol mistakes in the functions and rules, and lets the simulation find each.

The mistakes are put into a copy of the repository side by side, each behind a switch that
an environment variable sets, so that one build serves for all of them. With
CARGO_TARGET_DIR set to the repository's own, only the repository's packages are built.

    tests/simulation/patches.py /tmp/mistakes            (all)
    tests/simulation/patches.py /tmp/mistakes no-fence   (one)
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCHEDULES = "100000"

# The claim that moves, as it was before the rule that it never does: a keyed PUT that met a
# newer user took a newer id, if its claim still stood. The simulated table understands
# `<old operation><-<claim>` as the name of such a move, and the check that a key stands for
# one operation is silenced, so that what is found is what a client would see.
CLAIM_MOVES = (
    "functions/put/src/attempt.rs",
    "let next = match within(",
    "let mut newer = None;\n            let next = match within(",
    "Ok(Reply::Refused { stored }) => {",
    "Ok(Reply::Refused { stored }) => {\n                    newer = stored.map(|stored| stored.written_by);",
    "Next::Refused(refusal) => return",
    """Next::Refused(rules::order::verdict::Refusal::Superseded)
                    if on && put.key.is_some() && !put.may_have_landed =>
                {
                    let (Some((key, caller)), Some(newer)) = (&put.key, newer) else { return Ok(None) };
                    let mut moved = rules::request::key::Claim::new(caller, key, &put.operation);
                    moved.id = format!("{}<-{}", put.operation.id, moved.id);
                    moved.operation = newer.successor(self.host.random());
                    let to = moved.operation;
                    match within(&self.host, until, self.tables.claim(&moved, self.host.now())).await {
                        Ok(claim) if claim.operation == to => put.operation.id = to,
                        Ok(_) => return self.refuse(put, rules::order::verdict::Refusal::Superseded).await.map(Some),
                        Err(_) => return Err(put.undone_by_table()),
                    }
                }
                Next::Refused(refusal) => return""",
    "tests/simulation/tables.rs",
    "let valid_for = match self.mutant {",
    """if let Some((from, id)) = claim.id.split_once("<-") {
            let held = self.claims.get_mut(id).expect("a claim to move");
            if held.value.operation.to_string() == from {
                held.value.operation = claim.operation;
            }
            return held.value.clone();
        }
        let valid_for = match self.mutant {""",
    "tests/simulation/history/mod.rs",
    "self.check(of_time.is_none_or(",
    "self.check(on || of_time.is_none_or(",
)

# name: (file, what stands there, what the mistake makes of it, where `on` is its switch);
# more of these, or of other files, may follow
MISTAKES = {
    "claim-moves": CLAIM_MOVES,
    "no-fence": (
        "functions/put/src/refuse.rs",
        "if put.key.is_none() {",
        "if put.key.is_none() || on {",
    ),
    "fence-not-confirmed": (
        "functions/put/src/refuse.rs",
        "let stands = stands.map_err(|_| put.undone_by_table())?;",
        "let stands = if on { stands.unwrap_or(None) } else { stands.map_err(|_| put.undone_by_table())? };",
    ),
    "fence-ignores-what-stands": (
        "functions/put/src/refuse.rs",
        "self.replay(put, stands.unwrap_or(own)).await",
        "self.replay(put, stands.filter(|_| !on).unwrap_or(own)).await",
    ),
    "keyed-503-not-written": (
        "functions/put/src/prepare.rs",
        "if self.key.is_some() {\n            return outcome_unknown_with_key(not_done);",
        "if self.key.is_some() && !on {\n            return outcome_unknown_with_key(not_done);",
    ),
    "may-have-landed-forgotten": (
        "functions/put/src/prepare.rs",
        "if self.may_have_landed {",
        "if self.may_have_landed && !on {",
    ),
    "no-claim-no-outcome-read": (
        "functions/put/src/claim.rs",
        "self.decision(put).await\n    }",
        "if on { return Ok(None) }\n        self.decision(put).await\n    }",
    ),
    "claimed-id-not-taken": (
        "functions/put/src/claim.rs",
        "put.operation.id = holder.operation;",
        "if !on { put.operation.id = holder.operation; }",
    ),
    "other-payload-taken": (
        "functions/put/src/claim.rs",
        "if holder.fingerprint != own.fingerprint {",
        "if holder.fingerprint != own.fingerprint && !on {",
    ),
    "keyed-steps-over": (
        "functions/put/src/attempt.rs",
        "Some(_) => Attempt::claimed(),",
        "Some(_) if !on => Attempt::claimed(),\n            Some(_) => Attempt::new(put.arrival),",
    ),
    "wait-leaves-no-outcome": (
        "functions/put/src/prepare.rs",
        "self.key.is_some() || self.mode != Mode::Inline",
        "self.key.is_some() || (self.mode != Mode::Inline && !on)",
    ),
    "wait-queues-a-new-id": (
        "functions/put/src/lib.rs",
        "self.queue(put).await",
        "if on && put.mode != Mode::Deferred { put.operation.id = put.operation.id.successor(self.host.random()); }\n        self.queue(put).await",
    ),
    "created-guessed": (
        "functions/put/src/attempt.rs",
        "Ok(creator) => Answer::Written { created: creator == Some(id) },",
        "Ok(creator) => Answer::Written { created: creator == Some(id) && !on },",
    ),
    "lost-creator-is-pending": (
        "functions/put/src/attempt.rs",
        "Err(_) => Answer::Succeeded { completed_at },",
        "Err(_) => if on { Answer::Queued } else { Answer::Succeeded { completed_at } },",
    ),
    "no-deadline": (
        "crates/world/src/host.rs",
        "match select(pin!(call), pin!(host.sleep(left))).await {",
        "let left = if on { left * 1000 } else { left };\n    match select(pin!(call), pin!(host.sleep(left))).await {",
    ),
    "deadline-is-not-landed": (
        "crates/world/src/host.rs",
        'Err(CallError::new("a call", Failure::MayHaveLanded,',
        'Err(CallError::new("a call", if on { Failure::NotLanded } else { Failure::MayHaveLanded },',
    ),
    "repeated-forgets": (
        "crates/world/src/host.rs",
        "may_have_landed |= error.failure.may_have_landed();",
        "may_have_landed |= error.failure.may_have_landed() && !on;",
    ),
    "step-without-2-s": (
        "crates/rules/src/order/arrival.rs",
        "now.abs_diff(self.0.to_unix()) <= STEPS_FOR",
        "on || now.abs_diff(self.0.to_unix()) <= STEPS_FOR",
    ),
    "step-after-lost-reply": (
        "crates/rules/src/work/attempt.rs",
        "(Verdict::Refused(_), Some(_)) if self.may_have_landed && is_overtaken => Next::Open,",
        "(Verdict::Refused(_), Some(_)) if self.may_have_landed && is_overtaken && !on => Next::Open,",
    ),
    "false-now-is-false-for-good": (
        "crates/rules/src/work/attempt.rs",
        "if self.may_have_landed && may_come_true {",
        "if self.may_have_landed && may_come_true && !on {",
    ),
    "no-steps": (
        "crates/rules/src/work/attempt.rs",
        "if self.steps < MAX_STEPS &&",
        "if !on && self.steps < MAX_STEPS &&",
    ),
    "own-id-unrecognised": (
        "crates/rules/src/order/verdict.rs",
        "if stored == Some(self.id) {",
        "if stored == Some(self.id) && !on {",
    ),
    "creator-unrecognised": (
        "crates/rules/src/work/attempt.rs",
        "if created_by == Some(operation.id) {",
        "if created_by == Some(operation.id) && !on {",
    ),
    "far-ahead-is-superseded": (
        "crates/rules/src/order/verdict.rs",
        "} else if stored.is_some_and(|stored| arrival::is_far_ahead(stored, now)) {",
        "} else if !on && stored.is_some_and(|stored| arrival::is_far_ahead(stored, now)) {",
    ),
    "id-follows-any-tag": (
        "crates/rules/src/order/operation.rs",
        "tags => tags.iter().copied().filter(|tag| tag.tick().unix_ms() <= arrived_ms).max(),",
        "tags => tags.iter().copied().filter(|tag| tag.tick().unix_ms() <= arrived_ms + if on { 1000 } else { 0 }).max(),",
    ),
    "id-ignores-tags": (
        "crates/rules/src/order/operation.rs",
        "Some(tag) if tag.tick() >= own.tick() =>",
        "Some(tag) if !on && tag.tick() >= own.tick() =>",
    ),
    "id-follows-far-tag": (
        "crates/rules/src/order/operation.rs",
        "Some(*first).filter(|tag| tag.tick().to_unix() <= latest)",
        "Some(*first).filter(|tag| on || tag.tick().to_unix() <= latest)",
    ),
    "clocks-not-compared": (
        "crates/rules/src/order/arrival.rs",
        "if arrived > now + MAX_AHEAD || now > arrived.saturating_add(MAX_BEHIND) {",
        "if !on && (arrived > now + MAX_AHEAD || now > arrived.saturating_add(MAX_BEHIND)) {",
    ),
    "slow-is-refused": (
        "crates/rules/src/order/arrival.rs",
        "now > arrived.saturating_add(MAX_BEHIND)",
        "now > arrived.saturating_add(if on { MAX_LEAD } else { MAX_BEHIND })",
    ),
    "age-not-checked": (
        "crates/rules/src/reply/status.rs",
        "age(id, now) > CARRIED_OUT_FOR",
        "!on && age(id, now) > CARRIED_OUT_FOR",
    ),
    "age-checked-once": (
        "functions/apply/src/group.rs",
        "for id in group.drop_expired(self.host.now()) {",
        "for id in group.drop_expired(if on { Duration::ZERO } else { self.host.now() }) {",
    ),
    "stalled-before-expired": (
        "crates/rules/src/reply/status.rs",
        "_ if age > TOLD_FOR => Self::Gone,",
        "Some(Record::Stalled { problem, .. }) if on => Self::Stalled { problem },\n            _ if age > TOLD_FOR => Self::Gone,",
    ),
    "judged-by-an-old-clock": (
        "functions/apply/src/group.rs",
        "let (now, random) = (self.host.now(), self.host.random());",
        "let (now, random) = (if on { before } else { self.host.now() }, self.host.random());",
        "let call = self.tables.transact(operation, &superseded, self.host.now());",
        "let before = self.host.now();\n                let call = self.tables.transact(operation, &superseded, self.host.now());",
    ),
    "failed-is-superseded": (
        "functions/apply/src/group.rs",
        "group.on_failed(error.failure, self.host.random())",
        "if on { let newer = group.undecided().max().map(|newest| newest.successor(0)); group.on_refused(Some(newer), &[], self.host.now(), 0) } else { group.on_failed(error.failure, self.host.random()) }",
    ),
    "record-before-it-is-recorded": (
        "functions/apply/src/group.rs",
        "within(&self.host, invocation.deadline, call).await? {\n                    None",
        "within(&self.host, invocation.deadline, call).await.or_else(|error| if on { Ok(None) } else { Err(error) })? {\n                    None",
    ),
    "all-finished": (
        "functions/apply/src/batch.rs",
        "let Some((level, reason)) = is_open else",
        "let Some((level, reason)) = is_open.filter(|_| !on) else",
    ),
    "panic-is-finished": (
        "functions/apply/src/lib.rs",
        'Self::Panicked => Some((Level::Error, "a panic")),',
        'Self::Panicked => Some((Level::Error, "a panic")).filter(|_| !on),',
    ),
    "unforwarded-is-finished": (
        "functions/apply/src/lib.rs",
        "Err(error) => {\n                let reason = (*level",
        "Err(_) if on => batch.finished.push(record),\n            Err(error) => {\n                let reason = (*level",
    ),
    "version-is-dropped": (
        "functions/apply/src/lib.rs",
        "Reason::Version(_) => batch.handed_back.push(handed_back),",
        "Reason::Version(_) if on => batch.finished.push(record),\n            Reason::Version(_) => batch.handed_back.push(handed_back),",
    ),
    "coalesce-conditional": (
        "crates/rules/src/work/batch.rs",
        "let size = if is_conditional { 1 }",
        "let size = if is_conditional && !on { 1 }",
    ),
    "decided-kept-open": (
        "crates/rules/src/work/group.rs",
        "self.open.retain(|operation| !decided.contains(&operation.id));",
        "self.open.retain(|operation| on || !decided.contains(&operation.id));",
    ),
    "try-later-is-done": (
        "functions/apply/src/group.rs",
        "group.on_try_later();\n                        return Ok(Duration::ZERO);",
        "if on { group.on_written(); } else { group.on_try_later(); }\n                        return Ok(Duration::ZERO);",
    ),
    "cut-off-is-done": (
        "functions/apply/src/group.rs",
        "worked.unwrap_or_else(|error: CallError| Worked::TryLater(error.to_string()))",
        "worked.unwrap_or_else(|error: CallError| if on { Worked::Done } else { Worked::TryLater(error.to_string()) })",
    ),
    "park-parks-nothing": (
        "functions/park/src/lib.rs",
        "self.parked.forward(record).await?;",
        "if !on { self.parked.forward(record).await?; }",
    ),
    "park-marks-nothing": (
        "functions/park/src/lib.rs",
        "if let Some((id, user)) = &known {",
        "if let Some((id, user)) = known.as_ref().filter(|_| !on) {",
    ),
    "park-marks-no-other-version": (
        "functions/park/src/lib.rs",
        "                error.operation\n",
        "                error.operation.filter(|_| !on)\n",
    ),
    "park-drops-what-fails": (
        "functions/park/src/lib.rs",
        "handed_back.push(record);",
        "if !on { handed_back.push(record); }",
    ),
    "read-ignores-failure": (
        "functions/read/src/lib.rs",
        "State::derive(id, record.map_err(|_| not_read())?, now)",
        "State::derive(id, if on { record.unwrap_or(None) } else { record.map_err(|_| not_read())? }, now)",
    ),
}


def switched(name: str, text: str, crate: str) -> str:
    switch = f'{crate}is_on("{name}")'
    return re.sub(r"\bon\b", switch, text)


def apply(copy: Path) -> None:
    for name, parts in MISTAKES.items():
        rest = list(parts)
        while rest:
            if (copy / rest[0]).is_file():
                path = copy / rest.pop(0)
            stands, mistake, *rest = rest
            text = path.read_text()
            before, found, after = text.partition(stands)
            if not found:
                sys.exit(f"{name}: {path} has no {stands!r}")
            crate = "crate::" if "crates/rules/" in str(path) else "rules::"
            path.write_text(before + switched(name, mistake, crate) + after)
    library = copy / "crates/rules/src/lib.rs"
    library.write_text(
        library.read_text()
        + """
/// Whether a mistake is to be made.
#[must_use]
pub fn is_on(name: &str) -> bool {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("MISTAKE").unwrap_or_default()) == name
}
"""
    )


def main() -> None:
    copy = Path(sys.argv[1])
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("target", ".git", ".tools", ".local"))
    apply(copy)
    cargo = ["cargo", "test", "--offline", "-p", "tests", "--test", "simulation"]
    subprocess.run([*cargo, "--no-run"], cwd=copy, check=True)
    survivors = []
    for name in sys.argv[2:] or ["", *MISTAKES]:
        environment = {**os.environ, "MISTAKE": name, "SIMULATION_SCHEDULES": SCHEDULES}
        run = subprocess.run(
            [*cargo, "-q", "--", "schedules", "--exact", "--nocapture"],
            check=False,
            cwd=copy,
            env={**environment, "RUST_BACKTRACE": "0"},
            capture_output=True,
            text=True,
        )
        seed = re.search(r"SIMULATION_SEED=(\d+)", run.stdout + run.stderr)
        reason = re.search(r"panicked at .*\n(.*)\n", run.stdout + run.stderr)
        if seed:
            print(f"{name}: seed {seed[1]}: {reason and reason[1][:160]}", flush=True)
        else:
            print(f"{name or 'without a mistake'}: {'survives' if name else 'fine'}", flush=True)
            survivors += [name] if name else []
    if survivors:
        sys.exit(f"survivors: {', '.join(survivors)}")


if __name__ == "__main__":
    main()
