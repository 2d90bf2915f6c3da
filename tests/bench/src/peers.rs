//! Whether the peers do what they are measured at.

use serde_json::Value;

use crate::contender::{Contenders, Peer};
use crate::endpoint::Endpoints;
use crate::event;
use crate::process::Process;

/// Names the answers of peers that are not as they should be.
pub async fn check(contenders: &Contenders, endpoints: &Endpoints) -> Vec<String> {
    let mut wrong = Vec::new();
    let body = event::body(300);
    let resource: Value = serde_json::from_str(&body).expect("a body is JSON");
    for peer in contenders.peers.iter().map(Peer::contender) {
        let process = Process::start(&peer, &endpoints.urls).await;
        for (status, fields) in [(200, &[][..]), (202, &[("prefer", "respond-async")])] {
            let answer = process.invoke(event::put(&body, fields).to_string()).await;
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let text = answer["body"].as_str().unwrap_or_default();
            let told: Value = serde_json::from_str(text).unwrap_or_default();
            if answer["statusCode"] != status || (told == resource) != (status == 200) {
                wrong.push(format!("{} should answer {status}: {answer}", peer.name));
            }
        }
    }
    wrong
}
