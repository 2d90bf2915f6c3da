//! The check finds what it is there to find.

use std::time::Duration;

use rules::Method;

use super::*;
use crate::record::{
    Answer, Cancel, Change, Condition, Get, Landed, Mode, Sending, Status, Stored, Story,
};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(number: u64) -> String {
    format!("id-{number:02}")
}

fn body(number: u64) -> String {
    format!("{{\"n\":{number}}}")
}

fn put(number: u64, mode: Mode, sent: u64, answered: u64, answer: Answer) -> Change {
    let sending = Sending { mode, sent: at(sent), answered: at(answered), answer };
    Change {
        method: Method::Put,
        mark: body(number),
        condition: Condition::None,
        is_keyed: false,
        sendings: vec![sending],
        statuses: vec![],
        cancels: vec![],
    }
}

fn delete(number: u64, sent: u64) -> Change {
    let put = put(number, Mode::Inline, sent, sent + 5, Answer::Deleted);
    Change { method: Method::Delete, mark: format!("delete-{number}"), ..put }
}

fn written(number: u64, sent: u64, created: bool) -> Change {
    let answer = Answer::Written { etag: id(number), created };
    put(number, Mode::Inline, sent, sent + 5, answer)
}

fn deferred(number: u64, sent: u64, status: (u64, Status)) -> Change {
    let (is_written, location) = (false, String::new());
    let answer = Answer::Accepted { is_written, operation: id(number), location };
    let mut put = put(number, Mode::Deferred, sent, sent + 5, answer);
    put.statuses = vec![(at(sent + 6), Status::Pending), (at(status.0), status.1)];
    put
}

fn landed(number: u64, ms: u64) -> Landed {
    let (operation, mark) = (id(number), body(number));
    Landed { operation, mark, is_deletion: false, called: at(ms - 1), at: at(ms) }
}

fn deleted(number: u64, ms: u64) -> Landed {
    Landed { mark: format!("delete-{number}"), is_deletion: true, ..landed(number, ms) }
}

fn get(sent: u64, number: u64) -> Get {
    Get { sent: at(sent), answered: at(sent + 5), seen: Some((id(number), body(number))) }
}

fn not_found(sent: u64) -> Get {
    Get { seen: None, ..get(sent, 0) }
}

fn stored(number: u64) -> Stored {
    let (operation, created_by) = (id(number), Some(id(1)));
    Stored { operation, body: Some(body(number)), created_by, expires: false }
}

fn tombstone(number: u64) -> Stored {
    Stored { operation: id(number), body: None, created_by: None, expires: true }
}

/// 1 inline; 2 deferred, decided late; 3 conditional, refused; 4 unknown, but landed.
fn sound() -> Story {
    let mut refused = put(3, Mode::Inline, 30, 35, Answer::PreconditionFailed);
    refused.condition = Condition::Absent;
    Story {
        resource: "u".to_owned(),
        changes: vec![
            written(1, 10, true),
            deferred(2, 20, (90, Status::Succeeded(Some(id(2))))),
            refused,
            put(4, Mode::Inline, 100, 105, Answer::OutcomeUnknown),
        ],
        gets: vec![get(40, 1), get(60, 2), get(120, 2), get(140, 4)],
        landed: vec![landed(1, 12), landed(2, 50), landed(4, 130)],
        stored: Some(stored(4)),
        troubles: vec![],
    }
}

/// After [`sound`]: 5 deletes; 6 makes it again, and is deleted by 8, later; 7, which was
/// before that, is cancelled in vain, and 9 cancelled; 10 finds nothing to delete.
fn deletions() -> Story {
    let mut story = sound();
    let mut deletion = deferred(8, 230, (290, Status::Succeeded(None)));
    deletion.method = Method::Delete;
    deletion.mark = "delete-8".to_owned();
    let mut too_late = deferred(7, 210, (225, Status::AlreadyDecided));
    too_late.statuses.push((at(226), Status::Succeeded(Some(id(7)))));
    let mut cancelled = deferred(9, 240, (250, Status::Cancelled));
    for change in [&mut too_late, &mut cancelled] {
        let sent = change.sent() + Duration::from_millis(7);
        change.cancels = vec![Cancel { sent, answer: "any".to_owned() }];
    }
    let mut again = cancelled.sendings[0].clone();
    again.answer = Answer::Refused("cancelled".to_owned());
    again.answered = at(270);
    cancelled.sendings.push(again);
    let mut refused = delete(10, 300);
    refused.sendings[0].answer = Answer::PreconditionFailed;
    refused.condition = Condition::Match(vec![id(8), id(7)]);
    let made = written(6, 180, true);
    story.changes.extend([delete(5, 150), made, too_late, deletion, cancelled, refused]);
    story.gets.extend([not_found(160), get(190, 6), get(252, 7), not_found(300)]);
    story.landed.extend([deleted(5, 153), landed(6, 182), landed(7, 215), deleted(8, 260)]);
    story.stored = Some(tombstone(8));
    story
}

/// What makes a story wrong.
type Spoil = fn(&mut Story);

/// The changes of [`deletions`].
const DELETE: usize = 4;
const MADE_AGAIN: usize = 5;
const TOO_LATE: usize = 6;
const DELETED_LATER: usize = 7;
const CANCELLED: usize = 8;
const REFUSED: usize = 9;

fn words(story: &Story) -> Vec<&'static str> {
    let mut words: Vec<_> = account(story).into_iter().map(|finding| finding.word).collect();
    words.dedup();
    words
}

#[test]
fn a_sound_story_is_accepted() {
    for story in [sound(), deletions()] {
        assert_eq!(account(&story), vec![]);
        assert_eq!(linearizable(&story), Verdict::Yes);
    }
}

#[test]
fn a_deleted_resource_is_absent_until_it_is_made_again() {
    let spoiled: [Spoil; 8] = [
        // It comes back, and is absent again.
        |story| story.gets.push(get(165, 4)),
        |story| story.gets.push(get(400, 7)),
        // Absent while it exists.
        |story| story.gets.push(not_found(143)),
        |story| story.gets.push(not_found(195)),
        // 201 where it existed, 200 where it did not.
        |story| story.changes.push(written(6, 220, true)),
        |story| story.changes[MADE_AGAIN] = written(6, 180, false),
        // A DELETE with a precondition that was false, and a refused one whose was true.
        |story| story.changes[DELETE].condition = Condition::Match(vec![id(2)]),
        |story| story.changes[REFUSED].condition = Condition::Absent,
    ];
    for (number, spoil) in spoiled.into_iter().enumerate() {
        let mut story = deletions();
        spoil(&mut story);
        assert_eq!(linearizable(&story), Verdict::No, "{number}");
    }
}

#[test]
fn what_a_deletion_or_a_cancel_left_undone_is_found() {
    let spoiled: [(&[&str], Spoil); 15] = [
        // 204, and no tombstone.
        (&["LOST"], |story| story.landed.retain(|write| write.operation != id(5))),
        // Landed under the tombstone.
        (&["STALE"], |story| {
            story.landed.retain(|write| write.operation != id(7));
            story.landed.push(landed(7, 270));
        }),
        // What is stored at the end: the older one, or what belongs to the other state.
        (&["LOST"], |story| story.stored = Some(stored(7))),
        (&["LOST"], |story| story.stored = Some(Stored { expires: false, ..tombstone(8) })),
        (&["LOST"], |story| {
            story.stored = Some(Stored { created_by: Some(id(6)), ..tombstone(8) })
        }),
        (&["LOST"], |story| {
            story.changes.remove(DELETED_LATER);
            story.landed.pop();
            // By the one before it was deleted.
            story.stored = Some(stored(7));
        }),
        // A write without a request of its own.
        (&["LOST", "LIE"], |story| story.landed[3].mark.clear()),
        // Cancelled, and it landed; before that was asked for, or refused; with another outcome.
        (&["LIE"], |story| {
            story.landed.pop();
            story.landed.extend([deleted(8, 260), landed(9, 270)]);
            story.stored = Some(Stored { created_by: Some(id(9)), ..stored(9) });
        }),
        (&["LIE"], |story| story.changes[CANCELLED].cancels[0].sent = at(251)),
        (&["LIE"], |story| {
            story.changes[CANCELLED].cancels[0].answer = "503 not-written".to_owned()
        }),
        (&["LIE"], |story| {
            let mut again = story.changes[CANCELLED].sendings[0].clone();
            again.answer = Answer::Refused("superseded".to_owned());
            story.changes[CANCELLED].sendings.push(again);
        }),
        (&["LOST", "LIE"], |story| {
            story.changes[CANCELLED].statuses.push((at(255), Status::AlreadyDecided));
        }),
        (&["LOST", "LIE", "LOST"], |story| {
            let answer = &mut story.changes[CANCELLED].sendings[0].answer;
            let (operation, location) = (id(9), String::new());
            *answer = Answer::Accepted { is_written: true, operation, location };
        }),
        // Too late to cancel, and pending.
        (&["LIE"], |story| story.changes[TOO_LATE].statuses.insert(2, (at(226), Status::Pending))),
        // A DELETE with an entity tag.
        (&["LIE"], |story| {
            story.changes[DELETED_LATER].statuses[1].1 = Status::Succeeded(Some(id(8)));
        }),
    ];
    for (number, (expected, spoil)) in spoiled.into_iter().enumerate() {
        let mut story = deletions();
        spoil(&mut story);
        assert_eq!(words(&story), expected, "{number}");
    }
}

#[test]
fn a_spoiled_history_is_refused() {
    // A client that saw 2 saw 1 again.
    let mut story = sound();
    story.gets[2] = get(120, 1);
    assert_eq!(linearizable(&story), Verdict::No);
    // Seen before it was sent.
    let mut story = sound();
    story.gets[0] = get(12, 2);
    assert_eq!(linearizable(&story), Verdict::No);
    // Two that both found the version they named.
    let mut story = sound();
    for (number, sent) in [(5, 150), (6, 151)] {
        let mut put = written(number, sent, false);
        put.condition = Condition::Match(vec![id(4)]);
        story.changes.push(put);
        story.landed.push(landed(number, sent + 2));
    }
    assert_eq!(linearizable(&story), Verdict::No);
    // Refused though its precondition was true all the time.
    let mut story = sound();
    story.changes[2].condition = Condition::Exists;
    assert_eq!(linearizable(&story), Verdict::No);
    // Said to have made a resource who was there.
    let mut story = sound();
    story.changes.push(written(5, 160, true));
    story.landed.push(landed(5, 162));
    assert_eq!(linearizable(&story), Verdict::No);
}

#[test]
fn what_is_open_may_take_effect_at_any_time_or_never() {
    let mut story = sound();
    story.gets.pop();
    story.gets.push(get(200, 2));
    assert_eq!(linearizable(&story), Verdict::Yes);
    story.gets.push(get(300, 4));
    assert_eq!(linearizable(&story), Verdict::Yes);
    story.gets.push(get(400, 2));
    assert_eq!(linearizable(&story), Verdict::No);
}

#[test]
fn with_many_open_what_the_wire_saw_decides() {
    let mut story = sound();
    for number in 10..20 {
        story.changes.push(put(number, Mode::Inline, 200, 205, Answer::None));
    }
    story.landed.push(landed(15, 203));
    story.gets.push(get(210, 15));
    assert_eq!(linearizable(&story), Verdict::Yes);
    story.gets.push(get(220, 14));
    assert_eq!(linearizable(&story), Verdict::No);
}

#[test]
fn what_is_lost_is_found() {
    let mut story = sound();
    story.landed.retain(|write| write.operation != id(2));
    story.gets.clear();
    assert_eq!(words(&story), ["LOST"]);
    let mut story = sound();
    story.changes[1].statuses.pop();
    assert_eq!(words(&story), ["LOST"]);
    let mut story = sound();
    story.stored = Some(stored(2));
    assert_eq!(words(&story), ["LOST"]);
    let mut story = sound();
    story.stored = None;
    assert_eq!(words(&story), ["LOST"]);
}

#[test]
fn what_is_refused_for_no_reason_is_found() {
    let superseded = || {
        let mut story = sound();
        story.changes[1].statuses[1].1 = Status::Superseded;
        story.landed.retain(|write| write.operation != id(2));
        story.gets.retain(|get| *get.seen.as_ref().unwrap() != (id(2), body(2)));
        story
    };
    assert_eq!(words(&superseded()), Vec::<&str>::new());
    let mut story = superseded();
    story.landed.pop();
    story.gets.pop();
    story.stored = Some(stored(1));
    assert_eq!(words(&story), ["LOST"]);
    let mut story = superseded();
    story.changes[1].statuses[1].1 = Status::Failed("order-unknown".to_owned());
    assert_eq!(words(&story), ["LOST"]);
}

#[test]
fn what_is_doubled_is_found() {
    let mut story = sound();
    story.landed.push(landed(1, 13));
    assert_eq!(words(&story), ["DOUBLED"]);
}

#[test]
fn what_is_stale_is_found() {
    // 2 was answered before 7 was sent, and ended over it.
    let mut story = sound();
    let mut early = written(7, 30, false);
    early.sendings[0].answer = Answer::Written { etag: "id-017".to_owned(), created: false };
    story.changes.push(early);
    story.landed.push(Landed { operation: "id-017".to_owned(), ..landed(7, 33) });
    assert_eq!(words(&story), ["STALE"]);
    // What landed last is older.
    let mut story = sound();
    story.landed[1] = landed(2, 140);
    assert_eq!(words(&story), ["STALE"]);
}

#[test]
fn lies_are_found() {
    let refusals = [
        Answer::PreconditionFailed,
        Answer::Refused("superseded".to_owned()),
        Answer::NotWritten("not-written".to_owned()),
    ];
    for refusal in refusals {
        let mut story = sound();
        story.changes[3].sendings[0].answer = refusal;
        assert_eq!(words(&story), ["LIE"]);
    }
    // A status that was taken back.
    let mut story = sound();
    story.changes[1].statuses.push((at(95), Status::Pending));
    assert!(words(&story).contains(&"LIE"));
    let mut story = sound();
    story.changes[1].statuses.push((at(95), Status::Superseded));
    assert_eq!(words(&story), ["LIE"]);
    // A key with two ids.
    let mut story = sound();
    let mut again = story.changes[0].sendings[0].clone();
    again.answer = Answer::Written { etag: id(9), created: false };
    story.changes[0].sendings.push(again);
    assert!(words(&story).contains(&"LIE"));
    // A key that is told that nothing was written.
    let mut story = sound();
    story.changes.push(put(
        8,
        Mode::Inline,
        200,
        205,
        Answer::NotWritten("not-written".to_owned()),
    ));
    assert_eq!(words(&story), Vec::<&str>::new());
    story.changes[4].is_keyed = true;
    assert_eq!(words(&story), ["LIE"]);
    // A body that was not sent like this.
    let mut story = sound();
    story.gets[0].seen = Some((id(1), "{\"n\": 1}".to_owned()));
    assert_eq!(words(&story), ["LIE"]);
}
