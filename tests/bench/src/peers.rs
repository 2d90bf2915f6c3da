//! Checks that the peers do what is measured.

use rig::gateway::Answer;

use crate::contender::{Contenders, Process};
use crate::endpoint::Canned;
use crate::event;

/// Names the peers with a wrong answer.
pub async fn check(contenders: &Contenders, canned: &Canned) -> Vec<String> {
    let mut wrong = Vec::new();
    for peer in &contenders.peers {
        let process = Process::start(peer, &canned.endpoints).await;
        for (status, fields) in [(200, &[][..]), (202, &[("prefer", "respond-async")])] {
            let put = event::put(&event::body(300), fields);
            let answer = Answer::read(&process.invoke(event::now(&put)).await);
            let is_body = serde_json::from_str(&event::body(300)).ok() == Some(answer.json());
            if answer.status != status || is_body != (status == 200) {
                wrong.push(format!("{} should answer {status}: {answer:?}", peer.name));
            }
        }
    }
    wrong
}
