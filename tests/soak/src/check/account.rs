//! Nothing lost, nothing doubled, nothing stale over something newer, no lies.

use std::collections::{BTreeSet, HashMap};

use rules::Method;

use super::Finding;
use crate::record::{Answer, Change, Fate, Landed, Status, Stored, Story, Version};

/// Everything that is wrong with a story.
#[must_use]
pub fn account(story: &Story) -> Vec<Finding> {
    let mut landed: HashMap<&str, Vec<&Landed>> = HashMap::new();
    for write in &story.landed {
        landed.entry(&write.mark).or_default().push(write);
    }
    let mut found: Vec<_> =
        story.troubles.iter().map(|trouble| Finding::new("LIE", trouble)).collect();
    for change in &story.changes {
        let landed = landed.get(change.mark.as_str()).map_or(&[][..], Vec::as_slice);
        found.extend(lost(change, landed));
        found.extend(doubled(change, landed));
        found.extend(lies(change, landed));
        found.extend(cancelled(change));
        found.extend(refused_for_no_reason(change, &story.landed));
    }
    found.extend(made_up(story));
    found.extend(stale(story));
    found.extend(end(story));
    found
}

/// What was said to be written is; what was accepted is decided.
fn lost(change: &Change, landed: &[&Landed]) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_written = |(fate, _): &(Fate, String)| matches!(fate, Fate::Written(_));
    if let Some((_, claim)) = change.claims().into_iter().find(is_written)
        && landed.is_empty()
    {
        found.push(Finding::new("LOST", format!("{}: {claim}, and it never landed", change.mark)));
    }
    let is_accepted =
        change.sendings.iter().any(|sending| matches!(sending.answer, Answer::Accepted { .. }));
    let last = change.statuses.last().map(|(_, status)| status);
    if is_accepted && !last.is_some_and(Status::is_final) {
        found.push(Finding::new(
            "LOST",
            format!("{}: accepted, and its last status is {last:?}", change.mark),
        ));
    }
    found
}

/// What is superseded is so by something newer, and nothing fails but a precondition: all
/// clocks are right here.
fn refused_for_no_reason(change: &Change, landed: &[Landed]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut lost =
        |text: String| found.push(Finding::new("LOST", format!("{}: {text}", change.mark)));
    let newest = landed.iter().map(|write| write.operation.as_str()).max();
    let own = change.operations().into_iter().min();
    for (_, status) in &change.statuses {
        match status {
            Status::Superseded if newest <= own => {
                lost(format!("{own:?} is superseded, but the newest is {newest:?}"));
            }
            Status::Failed(problem) if problem != "precondition-failed" => {
                lost(format!("it failed as {problem}"));
            }
            _ => {}
        }
    }
    for sending in &change.sendings {
        if let Answer::Refused(problem) = &sending.answer
            && problem != "cancelled"
            && (problem != "superseded" || landed.iter().all(|write| write.mark == change.mark))
        {
            lost(format!("refused as {problem}, and there is nothing newer"));
        }
    }
    found
}

/// One PUT or DELETE takes effect at most once.
fn doubled(change: &Change, landed: &[&Landed]) -> Option<Finding> {
    let ids: Vec<_> = landed.iter().map(|write| &write.operation).collect();
    (ids.len() > 1).then(|| Finding::new("DOUBLED", format!("{}: landed as {ids:?}", change.mark)))
}

/// Answers and statuses agree with one another and with what landed.
fn lies(change: &Change, landed: &[&Landed]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut lie =
        |text: String| found.push(Finding::new("LIE", format!("{}: {text}", change.mark)));
    let claims = change.claims();
    let kind = |fate: &Fate| matches!(fate, Fate::Written(_));
    if let Some((_, no)) = claims.iter().find(|(fate, _)| !kind(fate)) {
        if let Some(write) = landed.first() {
            lie(format!("{no}, and it landed as {} at {:?}", write.operation, write.at));
        }
        if let Some((_, yes)) = claims.iter().find(|(fate, _)| kind(fate)) {
            lie(format!("{no}, but {yes}"));
        }
    }
    let mut ids: BTreeSet<_> = change.operations().into_iter().collect();
    ids.extend(landed.iter().map(|write| write.operation.as_str()));
    if ids.len() > 1 {
        lie(format!("it has several ids: {ids:?}"));
    }
    for (number, (_, status)) in change.statuses.iter().enumerate() {
        let mut later = change.statuses[number + 1..].iter().map(|(_, later)| later);
        if let Some(other) = later.find(|later| !status.may_precede(later)) {
            lie(format!("its status was {status:?} and then {other:?}"));
        }
        match status {
            Status::Unexpected(status) => lie(format!("an unexpected status: {status}")),
            Status::Succeeded(etag) if etag.is_some() != (change.method == Method::Put) => {
                lie(format!("a {} succeeded with the entity tag {etag:?}", change.method.as_str()));
            }
            _ => {}
        }
    }
    for sending in &change.sendings {
        match &sending.answer {
            Answer::Unexpected(answer) => lie(format!("an unexpected answer: {answer}")),
            // Another sending may have landed it.
            Answer::NotWritten(problem) if change.is_keyed => {
                lie(format!("503 {problem} under a key"));
            }
            _ => {}
        }
    }
    found
}

/// What is cancelled was so by a client, and has no other outcome.
fn cancelled(change: &Change) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut lie =
        |text: String| found.push(Finding::new("LIE", format!("{}: {text}", change.mark)));
    let claims = change.claims();
    for (fate, claim) in &claims {
        let Fate::Cancelled(at) = fate else { continue };
        let mut cancels = change.cancels.iter().filter(|cancel| cancel.sent < *at);
        if cancels.all(|cancel| cancel.answer == "503 not-written") {
            lie(format!("{claim}, and nobody cancelled it"));
        }
        let is_refused = |fate: &Fate| matches!(fate, Fate::PreconditionFailed(_) | Fate::Never);
        if let Some((_, other)) = claims.iter().find(|(fate, _)| is_refused(fate)) {
            lie(format!("{claim}, but {other}"));
        }
    }
    found
}

/// Whatever a GET shows was stored, byte for byte, and whatever was stored was sent.
fn made_up(story: &Story) -> Vec<Finding> {
    let numbers = story.numbers();
    let is_landed = |(etag, body): &&Version| {
        story.landed.iter().any(|write| write.operation == *etag && write.mark == *body)
    };
    let seen = story.gets.iter().filter_map(|get| get.seen.as_ref());
    let seen = seen.filter(|version| !is_landed(version));
    let seen = seen.map(|version| Finding::new("LIE", format!("a GET showed {version:?}")));
    let sent = story.landed.iter().filter(|write| !numbers.contains_key(write.mark.as_str()));
    let sent = sent.map(|write| Finding::new("LIE", format!("nobody sent {write:?}")));
    seen.chain(sent).collect()
}

/// Of two changes that landed, the one that was settled before the other was sent is older, and
/// so is the one that landed first: nothing that is older than a DELETE brings a resource back.
fn stale(story: &Story) -> Vec<Finding> {
    let ids: HashMap<_, _> =
        story.landed.iter().map(|write| (write.mark.as_str(), write.operation.as_str())).collect();
    let id = |change: &Change| ids.get(change.mark.as_str()).copied();
    let landed: Vec<_> =
        story.changes.iter().filter_map(|change| Some((change, id(change)?))).collect();
    let mut found = Vec::new();
    for first in &story.landed {
        let after = story.landed.iter().filter(|write| first.at < write.called);
        for second in after.filter(|write| write.operation < first.operation) {
            found.push(Finding::new("STALE", format!("{second:?} landed after {first:?}")));
        }
    }
    for (first, first_id) in &landed {
        for (second, second_id) in &landed {
            if first.settled() < second.sent() && first_id > second_id {
                let text = format!(
                    "{} as {first_id} over {} as {second_id}, which was sent {:?} after it was settled",
                    first.mark,
                    second.mark,
                    second.sent().saturating_sub(first.settled())
                );
                found.push(Finding::new("STALE", text));
            }
        }
    }
    found
}

/// What is to be stored at the end.
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

/// The resource is at the newest write that landed, which is as new as any that is known to
/// have succeeded.
fn end(story: &Story) -> Option<Finding> {
    let newest = newest(&story.landed);
    if newest != story.stored {
        let text = format!("{:?} is stored at the end, and not {newest:?}", story.stored);
        return Some(Finding::new("LOST", text));
    }
    let succeeded = story.changes.iter().filter(|change| matches!(change.fate(), Fate::Written(_)));
    let promised = succeeded.flat_map(Change::operations).max()?;
    (newest.as_ref().is_none_or(|newest| newest.operation.as_str() < promised)).then(|| {
        let text = format!("{promised} succeeded, and {newest:?} is stored at the end");
        Finding::new("LOST", text)
    })
}
