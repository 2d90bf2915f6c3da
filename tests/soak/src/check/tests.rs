//! The check finds what it is there to find.

use std::time::Duration;

use super::*;
use crate::record::{Answer, Condition, Get, Landed, Mode, Put, Sending, Status, Story};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(number: u64) -> String {
    format!("id-{number:02}")
}

fn body(number: u64) -> String {
    format!("{{\"n\":{number}}}")
}

fn put(number: u64, mode: Mode, sent: u64, answered: u64, answer: Answer) -> Put {
    let sending = Sending { mode, sent: at(sent), answered: at(answered), answer };
    Put {
        body: body(number),
        condition: Condition::None,
        is_keyed: false,
        sendings: vec![sending],
        statuses: vec![],
    }
}

fn written(number: u64, sent: u64, created: bool) -> Put {
    let answer = Answer::Written { etag: id(number), created };
    put(number, Mode::Inline, sent, sent + 5, answer)
}

fn deferred(number: u64, sent: u64, status: (u64, Status)) -> Put {
    let answer = Answer::Accepted { operation: id(number), location: String::new() };
    let mut put = put(number, Mode::Deferred, sent, sent + 5, answer);
    put.statuses = vec![(at(sent + 6), Status::Pending), (at(status.0), status.1)];
    put
}

fn landed(number: u64, ms: u64) -> Landed {
    Landed { operation: id(number), body: body(number), at: at(ms) }
}

fn get(sent: u64, number: u64) -> Get {
    Get { sent: at(sent), answered: at(sent + 5), seen: Some((id(number), body(number))) }
}

/// 1 inline; 2 deferred, decided late; 3 conditional, refused; 4 unknown, but landed.
fn sound() -> Story {
    let mut refused = put(3, Mode::Inline, 30, 35, Answer::PreconditionFailed);
    refused.condition = Condition::Absent;
    Story {
        resource: "u".to_owned(),
        puts: vec![
            written(1, 10, true),
            deferred(2, 20, (90, Status::Succeeded(id(2)))),
            refused,
            put(4, Mode::Inline, 100, 105, Answer::OutcomeUnknown),
        ],
        gets: vec![get(40, 1), get(60, 2), get(120, 2), get(140, 4)],
        landed: vec![landed(1, 12), landed(2, 50), landed(4, 130)],
        stored: Some((id(4), body(4))),
        troubles: vec![],
    }
}

fn words(story: &Story) -> Vec<&'static str> {
    let mut words: Vec<_> = account(story).into_iter().map(|finding| finding.word).collect();
    words.dedup();
    words
}

#[test]
fn a_sound_story_is_accepted() {
    assert_eq!(account(&sound()), vec![]);
    assert_eq!(linearizable(&sound()), Verdict::Yes);
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
        story.puts.push(put);
        story.landed.push(landed(number, sent + 2));
    }
    assert_eq!(linearizable(&story), Verdict::No);
    // Refused though its precondition was true all the time.
    let mut story = sound();
    story.puts[2].condition = Condition::Exists;
    assert_eq!(linearizable(&story), Verdict::No);
    // Said to have made a resource who was there.
    let mut story = sound();
    story.puts.push(written(5, 160, true));
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
        story.puts.push(put(number, Mode::Inline, 200, 205, Answer::None));
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
    story.puts[1].statuses.pop();
    assert_eq!(words(&story), ["LOST"]);
    let mut story = sound();
    story.stored = Some((id(2), body(2)));
    assert_eq!(words(&story), ["LOST"]);
    let mut story = sound();
    story.stored = None;
    assert_eq!(words(&story), ["LOST"]);
}

#[test]
fn what_is_refused_for_no_reason_is_found() {
    let superseded = || {
        let mut story = sound();
        story.puts[1].statuses[1].1 = Status::Superseded;
        story.landed.retain(|write| write.operation != id(2));
        story.gets.retain(|get| *get.seen.as_ref().unwrap() != (id(2), body(2)));
        story
    };
    assert_eq!(words(&superseded()), Vec::<&str>::new());
    let mut story = superseded();
    story.landed.pop();
    story.gets.pop();
    story.stored = Some((id(1), body(1)));
    assert_eq!(words(&story), ["LOST"]);
    let mut story = superseded();
    story.puts[1].statuses[1].1 = Status::Failed("order-unknown".to_owned());
    assert_eq!(words(&story), ["LOST"]);
}

#[test]
fn what_is_doubled_is_found() {
    let mut story = sound();
    story.landed.push(Landed { operation: id(1), body: body(1), at: at(13) });
    assert_eq!(words(&story), ["DOUBLED"]);
}

#[test]
fn what_is_stale_is_found() {
    // 2 was answered before 7 was sent, and ended over it.
    let mut story = sound();
    let mut early = written(7, 30, false);
    early.sendings[0].answer = Answer::Written { etag: "id-017".to_owned(), created: false };
    story.puts.push(early);
    story.landed.push(Landed { operation: "id-017".to_owned(), body: body(7), at: at(33) });
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
        story.puts[3].sendings[0].answer = refusal;
        assert_eq!(words(&story), ["LIE"]);
    }
    // A status that was taken back.
    let mut story = sound();
    story.puts[1].statuses.push((at(95), Status::Pending));
    assert!(words(&story).contains(&"LIE"));
    let mut story = sound();
    story.puts[1].statuses.push((at(95), Status::Superseded));
    assert_eq!(words(&story), ["LIE"]);
    // A key with two ids.
    let mut story = sound();
    let mut again = story.puts[0].sendings[0].clone();
    again.answer = Answer::Written { etag: id(9), created: false };
    story.puts[0].sendings.push(again);
    assert!(words(&story).contains(&"LIE"));
    // A key that is told that nothing was written.
    let mut story = sound();
    story.puts.push(put(8, Mode::Inline, 200, 205, Answer::NotWritten("not-written".to_owned())));
    assert_eq!(words(&story), Vec::<&str>::new());
    story.puts[4].is_keyed = true;
    assert_eq!(words(&story), ["LIE"]);
    // A body that was not sent like this.
    let mut story = sound();
    story.gets[0].seen = Some((id(1), "{\"n\": 1}".to_owned()));
    assert_eq!(words(&story), ["LIE"]);
}
