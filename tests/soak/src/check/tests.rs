//! The check finds the mistakes that it is made for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::record::{Change, Condition, Fate, Get, Landed, Method, Said, Sending, Stored, Story};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(number: u64) -> String {
    format!("id-{number:02}")
}

fn body(number: u64) -> String {
    format!("{{\"n\":{number}}}")
}

fn said(text: &str, fate: Fate) -> Said {
    Said { text: text.to_owned(), fate, operation: None, created: None }
}

fn pending() -> Said {
    said("pending", Fate::Open)
}

fn succeeded(number: u64) -> Said {
    Said { operation: Some(id(number)), ..said("succeeded", Fate::Written) }
}

fn superseded() -> Said {
    said("409 superseded", Fate::Never)
}

fn not_written() -> Said {
    said("503 not-written", Fate::Never)
}

fn already_decided() -> Said {
    said("already-decided", Fate::Open)
}

fn refused() -> Said {
    said("412", Fate::PreconditionFailed)
}

fn put(number: u64, sent: u64, said: Said) -> Change {
    Change {
        method: Method::Put,
        mark: body(number),
        condition: Condition::None,
        is_keyed: false,
        sendings: vec![Sending { sent: at(sent), answered: at(sent + 5), said }],
        location: None,
        statuses: vec![],
        cancels: vec![],
    }
}

fn delete(number: u64, change: Change) -> Change {
    Change { method: Method::Delete, mark: format!("delete-{number}"), ..change }
}

fn written(number: u64, sent: u64, created: bool) -> Change {
    put(number, sent, Said { created: Some(created), ..succeeded(number) })
}

fn deferred(number: u64, sent: u64, statuses: &[(u64, Said)]) -> Change {
    let accepted = Said { operation: Some(id(number)), ..said("202", Fate::Open) };
    let statuses = statuses.iter().map(|(ms, said)| (at(*ms), said.clone()));
    let statuses = std::iter::once((at(sent + 6), pending())).chain(statuses).collect();
    Change { statuses, ..put(number, sent, accepted) }
}

fn landed(number: u64, ms: u64) -> Landed {
    let (operation, mark) = (id(number), body(number));
    Landed { operation, mark, is_deletion: false, called: at(ms - 1), at: at(ms) }
}

fn deleted(number: u64, ms: u64) -> Landed {
    Landed { mark: format!("delete-{number}"), is_deletion: true, ..landed(number, ms) }
}

fn get(sent: u64, number: u64) -> Get {
    let seen = (number > 0).then(|| (id(number), body(number)));
    Get { sent: at(sent), answered: at(sent + 5), seen }
}

fn stored(number: u64, created_by: u64) -> Stored {
    let (operation, created_by) = (id(number), Some(id(created_by)));
    Stored { operation, body: Some(body(number)), created_by, expires: false }
}

fn tombstone(number: u64) -> Stored {
    Stored { operation: id(number), body: None, created_by: None, expires: true }
}

/// The PUTs and DELETEs of [`sound`], by their index there.
const WRITTEN: usize = 0;
const DEFERRED: usize = 1;
const REFUSED: usize = 2;
const UNKNOWN: usize = 3;
const DELETE: usize = 4;
const MADE_AGAIN: usize = 5;
const TOO_LATE: usize = 6;
const DELETED_LATER: usize = 7;
const CANCELLED: usize = 8;

/// 1 inline; 2 deferred, decided late; 3 conditional, refused; 4 unknown, but landed; 5 deletes; 6
/// creates it again; 7 is cancelled too late; 8 deletes that, later; 9 is cancelled; 10 finds
/// nothing to delete.
fn sound() -> Story {
    let absent = Change { condition: Condition::Absent, ..put(3, 30, refused()) };
    let deleted_now = said("204", Fate::Written);
    let cancels = |change: Change| {
        let sent = change.sent() + at(7);
        Change { cancels: vec![sent], ..change }
    };
    let mut cancelled = cancels(deferred(9, 240, &[(250, said("cancelled", Fate::Cancelled))]));
    let said_again = said("409 cancelled", Fate::Cancelled);
    cancelled.sendings.push(Sending { sent: at(240), answered: at(270), said: said_again });
    let not_deleted = Change {
        condition: Condition::Match(vec![id(8), id(7)]),
        ..delete(10, put(10, 300, refused()))
    };
    let landed = [landed(1, 12), landed(2, 50), landed(4, 130), deleted(5, 153), landed(6, 182)];
    Story {
        resource: "u".to_owned(),
        changes: vec![
            written(1, 10, true),
            deferred(2, 20, &[(90, succeeded(2))]),
            absent,
            put(4, 100, said("503 outcome-unknown", Fate::Open)),
            delete(5, put(5, 150, deleted_now)),
            written(6, 180, true),
            cancels(deferred(7, 210, &[(225, already_decided()), (226, succeeded(7))])),
            delete(8, deferred(8, 230, &[(290, said("succeeded", Fate::Written))])),
            cancelled,
            not_deleted,
        ],
        gets: [(40, 1), (60, 2), (120, 2), (140, 4), (160, 0), (190, 6), (252, 7), (300, 0)]
            .map(|(sent, number)| get(sent, number))
            .to_vec(),
        landed: [&landed[..], &[self::landed(7, 215), deleted(8, 260)]].concat(),
        stored: Some(tombstone(8)),
        troubles: vec![],
    }
}

/// A change that makes [`sound`] wrong, or leaves it right.
type Spoil = fn(&mut Story);

/// Each row changes it, and lists the words of the findings in alphabetical order. HISTORY is a
/// history of no single register.
fn check(rows: &[(&str, &str, Spoil)]) {
    for (name, expected, spoil) in rows {
        let mut story = sound();
        spoil(&mut story);
        let found = account(&story);
        let mut words: BTreeSet<_> = found.iter().map(|finding| finding.word).collect();
        words.extend((linearizable(&story) == Verdict::No).then_some("HISTORY"));
        let words = Vec::from_iter(words).join(" ");
        assert_eq!(words, *expected, "{name}: {found:#?}");
    }
}

fn unland(story: &mut Story, number: u64) {
    story.landed.retain(|write| write.operation != id(number));
    story.gets.retain(|get| get.seen.as_ref().is_none_or(|(etag, _)| *etag != id(number)));
}

fn answer(story: &mut Story, change: usize, said: Said) {
    story.changes[change].sendings[0].said = said;
}

fn send_again(story: &mut Story, change: usize, said: Said) {
    let again = Sending { said, ..story.changes[change].sendings[0].clone() };
    story.changes[change].sendings.push(again);
}

fn say(story: &mut Story, change: usize, ms: u64, said: Said) {
    story.changes[change].statuses.push((at(ms), said));
}

#[test]
fn a_sound_story_is_accepted() {
    check(&[
        ("as it is", "", |_| {}),
        ("2 superseded by a newer one", "", |it| {
            it.changes[DEFERRED].statuses[1].1 = said("superseded", Fate::Never);
            unland(it, 2);
        }),
        ("503 without a key", "", |it| it.changes.push(put(11, 310, not_written()))),
        ("4 lands only after the GETs", "", |it| it.gets[3] = get(140, 2)),
    ]);
}

#[test]
fn what_is_lost_is_found() {
    check(&[
        ("succeeded, and never landed", "LOST", |it| unland(it, 2)),
        ("never decided", "LOST", |it| drop(it.changes[DEFERRED].statuses.pop())),
        ("an older one stored", "LOST", |it| it.stored = Some(stored(7, 6))),
        ("nothing stored", "LOST", |it| it.stored = None),
        ("a tombstone that stays", "LOST", |it| {
            it.stored = Some(Stored { expires: false, ..tombstone(8) })
        }),
        ("created before it was deleted", "HISTORY LOST", |it| {
            it.changes.remove(DELETED_LATER);
            it.landed.pop();
            it.stored = Some(stored(7, 1));
        }),
        ("superseded by nothing newer", "LOST", |it| {
            it.changes.truncate(2);
            it.changes[DEFERRED].statuses[1].1 = said("superseded", Fate::Never);
            it.landed.truncate(1);
            it.gets.truncate(1);
            it.stored = Some(stored(1, 1));
        }),
        ("409 superseded by nothing", "LOST", |it| {
            it.changes = vec![put(1, 10, superseded())];
            (it.landed, it.gets, it.stored) = (vec![], vec![], None);
        }),
    ]);
}

#[test]
fn what_is_doubled_or_stale_is_found() {
    check(&[
        ("landed twice", "DOUBLED", |it| it.landed.push(landed(1, 11))),
        ("sent after 2, and below it", "HISTORY STALE", |it| {
            let operation = Some("id-017".to_owned());
            it.changes.push(put(11, 30, Said { operation, ..succeeded(0) }));
            it.landed.push(Landed { operation: "id-017".to_owned(), ..landed(11, 33) });
        }),
        ("landed over a newer one", "STALE", |it| it.landed[1] = landed(2, 140)),
        ("landed under the tombstone", "STALE", |it| it.landed[5] = landed(7, 270)),
    ]);
}

#[test]
fn lies_are_found() {
    check(&[
        ("412, and it landed", "HISTORY LIE", |it| answer(it, UNKNOWN, refused())),
        ("503, and it landed", "HISTORY LIE", |it| answer(it, UNKNOWN, not_written())),
        ("pending after it succeeded", "LIE LOST", |it| say(it, DEFERRED, 95, pending())),
        ("superseded after it succeeded", "LIE", |it| say(it, DEFERRED, 95, superseded())),
        ("a key with two ids", "LIE LOST", |it| {
            send_again(it, WRITTEN, Said { created: Some(true), ..succeeded(12) })
        }),
        ("a key under which nothing was written", "LIE", |it| {
            it.changes.push(Change { is_keyed: true, ..put(11, 310, not_written()) })
        }),
        ("a body that was not sent like this", "HISTORY LIE", |it| {
            it.gets[0].seen = Some((id(1), "{\"n\": 1}".to_owned()))
        }),
        ("a write that no client sent", "LIE LOST", |it| it.landed[3].mark.clear()),
        ("an answer that none should get", "LIE", |it| {
            it.changes.push(put(11, 310, said("418", Fate::Unexpected)))
        }),
        ("trouble", "LIE", |it| it.troubles.push("a GET: 418".to_owned())),
    ]);
}

#[test]
fn what_a_cancel_left_undone_is_found() {
    check(&[
        ("it landed", "LIE", |it| {
            it.landed.push(landed(9, 270));
            it.stored = Some(stored(9, 9));
            it.gets.pop();
        }),
        ("before a client asked for it", "LIE", |it| it.changes[CANCELLED].cancels[0] = at(251)),
        ("where every cancel failed", "LIE", |it| it.changes[CANCELLED].cancels.clear()),
        ("superseded too", "LIE LOST", |it| send_again(it, CANCELLED, superseded())),
        ("decided before", "LIE LOST", |it| say(it, CANCELLED, 255, already_decided())),
        ("written too", "HISTORY LIE LOST", |it| {
            answer(it, CANCELLED, Said { text: "202 succeeded".to_owned(), ..succeeded(9) })
        }),
        ("too late, and then pending", "LIE", |it| {
            it.changes[TOO_LATE].statuses.insert(2, (at(226), pending()))
        }),
    ]);
}

#[test]
fn a_history_of_no_single_register_is_found() {
    check(&[
        ("2 and then 1 again", "HISTORY", |it| it.gets[2] = get(120, 1)),
        ("seen before it was sent", "HISTORY", |it| it.gets[0] = get(12, 2)),
        ("back after its DELETE", "HISTORY", |it| it.gets.push(get(165, 4))),
        ("absent while it exists", "HISTORY", |it| it.gets.push(get(143, 0))),
        ("201 where it existed", "HISTORY", |it| it.changes[WRITTEN] = written(1, 10, false)),
        ("200 where it did not", "HISTORY", |it| it.changes[MADE_AGAIN] = written(6, 180, false)),
        ("both found the version they named", "HISTORY STALE", |it| {
            for (number, sent) in [(61, 195), (62, 196)] {
                let condition = Condition::Match(vec![id(6)]);
                it.changes.push(Change { condition, ..written(number, sent, false) });
                it.landed.push(landed(number, sent + 2));
            }
            it.stored = Some(stored(62, 61));
        }),
        ("written though its precondition was false", "HISTORY", |it| {
            it.changes[DELETE].condition = Condition::Match(vec![id(2)])
        }),
        ("refused though its precondition was true", "HISTORY", |it| {
            it.changes[REFUSED].condition = Condition::Exists
        }),
    ]);
}

#[test]
fn what_is_open_may_take_effect_at_any_time_or_never() {
    let mut story = Story { changes: sound().changes[..=UNKNOWN].to_vec(), ..sound() };
    story.gets.truncate(3);
    for (ms, seen, verdict) in
        [(200, 2, Verdict::Yes), (300, 4, Verdict::Yes), (400, 2, Verdict::No)]
    {
        story.gets.push(get(ms, seen));
        assert_eq!(linearizable(&story), verdict, "{ms}");
    }
}

#[test]
fn with_many_open_what_the_wire_saw_decides() {
    let mut story = sound();
    story.changes.extend((20..30).map(|number| put(number, 310, said("500", Fate::Open))));
    story.landed.push(landed(25, 313));
    for (ms, seen, verdict) in [(320, 25, Verdict::Yes), (330, 24, Verdict::No)] {
        story.gets.push(get(ms, seen));
        assert_eq!(linearizable(&story), verdict, "{ms}");
    }
}
