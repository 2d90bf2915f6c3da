//! Checks that nothing is lost, doubled or contradictory, and that nothing stale replaces something
//! newer.

use std::collections::{BTreeSet, HashMap};

use super::Finding;
use crate::record::{Change, Fate, Landed, Stored, Story};

/// Everything that is wrong with a story.
pub fn account(story: &Story) -> Vec<Finding> {
    let mut found = Found(vec![]);
    for trouble in &story.troubles {
        found.add("LIE", trouble.clone());
    }
    for change in &story.changes {
        let own = |write: &&Landed| write.mark == change.mark;
        let landed: Vec<_> = story.landed.iter().filter(own).collect();
        lost(change, &landed, &mut found);
        doubled(change, &landed, &mut found);
        contradictory(change, &landed, &mut found);
        unexpected(change, &mut found);
        cancelled(change, &mut found);
        superseded(change, &story.landed, &mut found);
    }
    made_up(story, &mut found);
    landed_late(story, &mut found);
    settled_before(story, &mut found);
    end(story, &mut found);
    found.0
}

struct Found(Vec<Finding>);

impl Found {
    fn add(&mut self, word: &'static str, text: String) {
        self.0.push(Finding { word, text });
    }

    fn about(&mut self, change: &Change, word: &'static str, text: String) {
        self.add(word, format!("{}: {text}", change.mark));
    }
}

/// What is reported as written is written. What was accepted is decided.
fn lost(change: &Change, landed: &[&Landed], found: &mut Found) {
    let claims = change.claims();
    if let Some((_, said)) = claims.iter().find(|(_, said)| said.fate == Fate::Written)
        && landed.is_empty()
    {
        found.about(change, "LOST", format!("{said:?}, and it never landed"));
    }
    let is_accepted = change.sendings.iter().any(|sending| sending.said.is_accepted());
    let last = change.statuses.last().map(|(_, said)| said);
    if is_accepted && !last.is_some_and(|last| last.is_final()) {
        found.about(change, "LOST", format!("accepted, and its last status is {last:?}"));
    }
}

/// One PUT or DELETE takes effect at most once.
fn doubled(change: &Change, landed: &[&Landed], found: &mut Found) {
    if landed.len() > 1 {
        let ids: Vec<_> = landed.iter().map(|write| &write.operation).collect();
        found.about(change, "DOUBLED", format!("landed as {ids:?}"));
    }
}

/// Answers and statuses agree with one another and with what landed.
fn contradictory(change: &Change, landed: &[&Landed], found: &mut Found) {
    let (yes, no): (Vec<_>, Vec<_>) =
        change.claims().into_iter().partition(|(_, said)| said.fate == Fate::Written);
    if let ([_, ..], Some(no)) = (landed, no.first()) {
        found.about(change, "LIE", format!("{no:?}, and it landed as {:?}", landed[0]));
    }
    if let (Some(yes), Some(no)) = (yes.first(), no.first()) {
        found.about(change, "LIE", format!("{no:?}, but {yes:?}"));
    }
    let mut ids: BTreeSet<_> = change.operations().into_iter().collect();
    ids.extend(landed.iter().map(|write| write.operation.as_str()));
    if ids.len() > 1 {
        found.about(change, "LIE", format!("it has several ids: {ids:?}"));
    }
    for (number, (_, said)) in change.statuses.iter().enumerate() {
        let mut later = change.statuses[number + 1..].iter().map(|(_, later)| later);
        if let Some(other) = later.find(|later| !said.may_precede(later)) {
            found.about(change, "LIE", format!("its status was {said:?} and then {other:?}"));
        }
    }
}

/// No answer is one that no request of a soak should get.
fn unexpected(change: &Change, found: &mut Found) {
    for (_, said) in change.heard() {
        // With a key, another sending may have written it.
        let is_promise = change.is_keyed && said.is_unknown() && said.fate == Fate::Never;
        if said.fate == Fate::Unexpected || is_promise {
            found.about(change, "LIE", format!("unexpected: {said:?}"));
        }
    }
}

/// An operation is cancelled only if a client asked for that, and has no other outcome.
fn cancelled(change: &Change, found: &mut Found) {
    let claims = change.claims();
    for (at, said) in claims.iter().filter(|(_, said)| said.fate == Fate::Cancelled) {
        if !change.cancels.iter().any(|sent| sent < at) {
            found.about(change, "LIE", format!("{said:?}, and no client cancelled it"));
        }
        if let Some((_, other)) = claims.iter().find(|(_, other)| other.fate != said.fate) {
            found.about(change, "LIE", format!("{said:?}, but {other:?}"));
        }
    }
}

/// An operation is superseded only by a newer one that landed.
fn superseded(change: &Change, landed: &[Landed], found: &mut Found) {
    let newest = landed.iter().map(|write| write.operation.as_str()).max();
    let own = change.operations().into_iter().min();
    let has_other = landed.iter().any(|write| write.mark != change.mark);
    let has_newer = if own.is_some() { newest > own } else { has_other };
    let is_superseded = change.heard().any(|(_, said)| said.text.ends_with("superseded"));
    if is_superseded && !has_newer {
        found.about(change, "LOST", format!("{own:?} is superseded by nothing: {newest:?}"));
    }
}

/// What a GET shows was stored, byte for byte, and what was stored was sent.
fn made_up(story: &Story, found: &mut Found) {
    for (etag, body) in story.gets.iter().filter_map(|get| get.seen.as_ref()) {
        if !story.landed.iter().any(|write| write.operation == *etag && write.mark == *body) {
            found.add("LIE", format!("a GET showed {etag} {body}"));
        }
    }
    let numbers = story.numbers();
    for write in story.landed.iter().filter(|write| !numbers.contains_key(write.mark.as_str())) {
        found.add("LIE", format!("no client sent {write:?}"));
    }
}

/// A write that landed before another is older, so no operation older than a DELETE brings a
/// resource back.
fn landed_late(story: &Story, found: &mut Found) {
    for first in &story.landed {
        let after = story.landed.iter().filter(|write| first.at < write.called);
        for second in after.filter(|write| write.operation < first.operation) {
            found.add("STALE", format!("{second:?} landed after {first:?}"));
        }
    }
}

/// If two changes landed, and one was settled before the other was sent, it is older.
fn settled_before(story: &Story, found: &mut Found) {
    let ids: HashMap<_, _> =
        story.landed.iter().map(|write| (write.mark.as_str(), write.operation.as_str())).collect();
    let id = |change: &Change| ids.get(change.mark.as_str()).copied();
    let landed: Vec<_> =
        story.changes.iter().filter_map(|change| Some((change, id(change)?))).collect();
    for (first, first_id) in &landed {
        for (second, second_id) in &landed {
            if first.settled() < second.sent() && first_id > second_id {
                let text = format!("as {first_id} over {} as {second_id}, sent later", second.mark);
                found.about(first, "STALE", text);
            }
        }
    }
}

/// What must be stored at the end.
fn newest(landed: &[Landed]) -> Option<Stored> {
    let newest = landed.iter().max_by_key(|write| &write.operation)?;
    let deletions = landed.iter().filter(|write| write.is_deletion);
    let deleted_by = deletions.map(|write| &write.operation).max();
    let alive = landed.iter().map(|write| &write.operation).filter(|id| Some(*id) > deleted_by);
    Some(Stored {
        operation: newest.operation.clone(),
        body: (!newest.is_deletion).then(|| newest.mark.clone()),
        created_by: alive.min().cloned(),
        expires: newest.is_deletion,
    })
}

/// The resource is at the newest write that landed, and no newer write is known to have succeeded.
fn end(story: &Story, found: &mut Found) {
    let newest = newest(&story.landed);
    if newest != story.stored {
        let text = format!("{:?} is stored at the end, and not {newest:?}", story.stored);
        return found.add("LOST", text);
    }
    let succeeded = story.changes.iter().filter(|change| change.fate().0 == Fate::Written);
    let promised = succeeded.flat_map(Change::operations).max();
    if promised > newest.as_ref().map(|newest| newest.operation.as_str()) {
        let text = format!("{promised:?} succeeded, and {newest:?} is stored at the end");
        found.add("LOST", text);
    }
}
