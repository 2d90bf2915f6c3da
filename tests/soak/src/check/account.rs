//! Nothing lost, nothing doubled, nothing stale over something newer, no lies.

use std::collections::{BTreeSet, HashMap};

use super::Finding;
use crate::record::{Answer, Fate, Landed, Put, Status, Story, Version};

/// Everything that is wrong with a story.
#[must_use]
pub fn account(story: &Story) -> Vec<Finding> {
    let mut landed: HashMap<&str, Vec<&Landed>> = HashMap::new();
    for write in &story.landed {
        landed.entry(&write.body).or_default().push(write);
    }
    let mut found: Vec<_> =
        story.troubles.iter().map(|trouble| Finding::new("LIE", trouble)).collect();
    for put in &story.puts {
        let landed = landed.get(put.body.as_str()).map_or(&[][..], Vec::as_slice);
        found.extend(lost(put, landed));
        found.extend(doubled(put, landed));
        found.extend(lies(put, landed));
        found.extend(refused_for_no_reason(put, &story.landed));
    }
    found.extend(made_up(story));
    found.extend(stale(story));
    found.extend(end(story));
    found
}

/// What was said to be written is; what was accepted is decided.
fn lost(put: &Put, landed: &[&Landed]) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_written = |(fate, _): &(Fate, String)| matches!(fate, Fate::Written(_));
    if let Some((_, claim)) = put.claims().into_iter().find(is_written)
        && landed.is_empty()
    {
        found.push(Finding::new("LOST", format!("{}: {claim}, and it never landed", put.body)));
    }
    let is_accepted =
        put.sendings.iter().any(|sending| matches!(sending.answer, Answer::Accepted { .. }));
    let last = put.statuses.last().map(|(_, status)| status);
    if is_accepted && !last.is_some_and(Status::is_final) {
        found.push(Finding::new(
            "LOST",
            format!("{}: accepted, and its last status is {last:?}", put.body),
        ));
    }
    found
}

/// What is superseded is so by something newer, and nothing fails but a precondition: all
/// clocks are right here.
fn refused_for_no_reason(put: &Put, landed: &[Landed]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut lost = |text: String| found.push(Finding::new("LOST", format!("{}: {text}", put.body)));
    let newest = landed.iter().map(|write| write.operation.as_str()).max();
    let own = put.operations().into_iter().min();
    for (_, status) in &put.statuses {
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
    for sending in &put.sendings {
        if let Answer::Refused(problem) = &sending.answer
            && (problem != "superseded" || landed.iter().all(|write| write.body == put.body))
        {
            lost(format!("refused as {problem}, and there is nothing newer"));
        }
    }
    found
}

/// One PUT takes effect at most once.
fn doubled(put: &Put, landed: &[&Landed]) -> Option<Finding> {
    let ids: Vec<_> = landed.iter().map(|write| &write.operation).collect();
    (ids.len() > 1).then(|| Finding::new("DOUBLED", format!("{}: landed as {ids:?}", put.body)))
}

/// Answers and statuses agree with one another and with what landed.
fn lies(put: &Put, landed: &[&Landed]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut lie = |text: String| found.push(Finding::new("LIE", format!("{}: {text}", put.body)));
    let claims = put.claims();
    let kind = |fate: &Fate| matches!(fate, Fate::Written(_));
    if let Some((_, no)) = claims.iter().find(|(fate, _)| !kind(fate)) {
        if let Some(write) = landed.first() {
            lie(format!("{no}, and it landed as {} at {:?}", write.operation, write.at));
        }
        if let Some((_, yes)) = claims.iter().find(|(fate, _)| kind(fate)) {
            lie(format!("{no}, but {yes}"));
        }
    }
    let mut ids: BTreeSet<_> = put.operations().into_iter().collect();
    ids.extend(landed.iter().map(|write| write.operation.as_str()));
    if ids.len() > 1 {
        lie(format!("it has several ids: {ids:?}"));
    }
    let mut statuses = put.statuses.iter().map(|(_, status)| status);
    if let Some(decided) = statuses.by_ref().find(|status| status.is_final())
        && let Some(other) = statuses.find(|status| *status != decided)
    {
        lie(format!("its status was {decided:?} and then {other:?}"));
    }
    for (_, status) in &put.statuses {
        if let Status::Unexpected(status) = status {
            lie(format!("an unexpected status: {status}"));
        }
    }
    for sending in &put.sendings {
        match &sending.answer {
            Answer::Unexpected(answer) => lie(format!("an unexpected answer: {answer}")),
            // Another sending may have landed it.
            Answer::NotWritten(problem) if put.is_keyed => {
                lie(format!("503 {problem} under a key"));
            }
            _ => {}
        }
    }
    found
}

/// Whatever a GET shows was stored, byte for byte, and whatever was stored was sent.
fn made_up(story: &Story) -> Vec<Finding> {
    let numbers = story.numbers();
    let is_landed = |(etag, body): &&Version| {
        story.landed.iter().any(|write| write.operation == *etag && write.body == *body)
    };
    let seen = story.gets.iter().filter_map(|get| get.seen.as_ref());
    let seen = seen.filter(|version| !is_landed(version));
    let seen = seen.map(|version| Finding::new("LIE", format!("a GET showed {version:?}")));
    let sent = story.landed.iter().filter(|write| !numbers.contains_key(write.body.as_str()));
    let sent = sent.map(|write| Finding::new("LIE", format!("nobody sent {write:?}")));
    seen.chain(sent).collect()
}

/// Of two PUTs that landed, the one that was settled before the other was sent is older.
fn stale(story: &Story) -> Vec<Finding> {
    let ids: HashMap<_, _> =
        story.landed.iter().map(|write| (write.body.as_str(), write.operation.as_str())).collect();
    let id = |put: &Put| ids.get(put.body.as_str()).copied();
    let landed: Vec<_> = story.puts.iter().filter_map(|put| Some((put, id(put)?))).collect();
    let mut found = Vec::new();
    for (first, first_id) in &landed {
        for (second, second_id) in &landed {
            if first.settled() < second.sent() && first_id > second_id {
                let text = format!(
                    "{} as {first_id} over {} as {second_id}, which was sent {:?} after it was settled",
                    first.body,
                    second.body,
                    second.sent().saturating_sub(first.settled())
                );
                found.push(Finding::new("STALE", text));
            }
        }
    }
    found
}

/// The resource is at the newest write that landed, which is as new as any that is known to
/// have succeeded.
fn end(story: &Story) -> Option<Finding> {
    let newest = story.landed.iter().max_by_key(|write| &write.operation);
    let newest = newest.map(|write| (write.operation.clone(), write.body.clone()));
    if newest != story.stored {
        let text = format!("{:?} is stored at the end, and not {newest:?}", story.stored);
        return Some(Finding::new("LOST", text));
    }
    let succeeded = story.puts.iter().filter(|put| matches!(put.fate(), Fate::Written(_)));
    let promised = succeeded.flat_map(Put::operations).max()?;
    (newest.as_ref().is_none_or(|(id, _)| id.as_str() < promised)).then(|| {
        let text = format!("{promised} succeeded, and {newest:?} is stored at the end");
        Finding::new("LOST", text)
    })
}
