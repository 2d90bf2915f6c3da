//! Writes the sample events of the resource, their expected results, and the data of
//! `crates/resource` that the Python tests and scripts need: `make events`.

mod example;
mod expected;
mod payload;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use rules::{OperationId, Tick};
use serde_json::{Value, json};

use crate::example::{Sample, body, example};

/// The time of the queued operations in the samples. After 32 days they are too old to be carried
/// out; `make events` writes new ones.
#[derive(Clone, Copy, Debug)]
struct Time(Duration);

impl Time {
    /// An operation of that time, `seconds` later.
    fn operation(self, seconds: u64, random: u64) -> OperationId {
        let tick = Tick::from_unix(self.0 + Duration::from_secs(seconds));
        OperationId::new(tick, random)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).map_or_else(events, PathBuf::from);
    // Before the time of everything that the samples write.
    let time = SystemTime::UNIX_EPOCH.elapsed()?.as_secs() - 60;
    fs::create_dir_all(directory.join("expected"))?;
    for (file, value) in files(Time(Duration::from_secs(time)))? {
        fs::write(directory.join(file), value)?;
    }
    Ok(())
}

fn events() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files by name, as text.
fn files(time: Time) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let [first, second, third] = [0, 1, 2].map(Sample::new);
    example::check()?;
    let good = time.operation(1, 0x1f2e_3d4c_5b6a_7988);
    let stale = time.operation(2, 0x0a1b_2c3d_4e5f_6071);
    let dead = time.operation(3, 0x1f2e_3d4c_5b6a_7980);
    let deletion = time.operation(4, 0x0a1b_2c3d_4e5f_6072);
    let malformed = "{\"member\": 1,\n \"other\": [en]}";
    let status = payload::status("GET", &second, good)?;
    let cancel = payload::status("DELETE", &third, dead)?;
    let records = json!({ "Records": [
        payload::record(1, &body(5), Some((&second, good, "1"))),
        payload::record(2, &body(6), Some((&first, stale, "1"))),
        payload::record(3, &body(7), None),
        payload::record(4, &body(8), Some((&second, good, "3"))),
    ] });
    let deleted = json!({ "Records": [payload::record(5, "-", Some((&second, deletion, "2")))] });
    let dead_letter = json!({ "Records": [payload::dead_letter(&body(9), (&third, dead, "1"))] });
    let events = [
        ("resource", resource(time)),
        ("put-inline", payload::put(&first, &body(1), false)),
        ("put-inline-rest", payload::put_rest(&first, &body(2), false)),
        ("put-deferred", payload::put(&first, &body(3), true)),
        ("put-deferred-rest", payload::put_rest(&first, &body(4), true)),
        ("put-bad-json", payload::put(&first, malformed, false)),
        ("apply-batch", records),
        ("park-batch", dead_letter),
        ("get-resource", payload::get(&first)),
        ("get-operation", status),
        ("cancel-operation", cancel),
        ("delete-deferred", payload::delete(&first, true)),
        ("delete-inline", payload::delete(&first, false)),
        ("apply-delete", deleted),
        ("expected/put-inline", expected::written(&first, &body(1))),
        ("expected/put-inline-rest", expected::written_rest(&first, &body(2))),
        ("expected/put-deferred", expected::accepted(&first)),
        ("expected/put-deferred-rest", expected::accepted_rest(&first)),
        ("expected/put-bad-json", expected::malformed()),
        ("expected/apply-batch", expected::handed_back(&[payload::message_id(4)])),
        ("expected/park-batch", expected::handed_back(&[])),
        ("expected/get-resource", expected::read(&body(2))),
        ("expected/get-operation", expected::succeeded(&second, good)),
        ("expected/cancel-operation", expected::cancelled(&third, dead)),
        ("expected/delete-deferred", expected::accepted(&first)),
        ("expected/delete-inline", expected::deleted()),
        ("expected/apply-delete", expected::handed_back(&[])),
    ];
    let text = |mut value: Value| -> Result<String, serde_json::Error> {
        // The order of members must not depend on the features of serde_json.
        value.sort_all_objects();
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    };
    events.into_iter().map(|(name, value)| Ok((format!("{name}.json"), text(value)?))).collect()
}

/// The data of the resource for the Python tests and scripts.
fn resource(time: Time) -> Value {
    let (path, owner, has_update) = example::OF_THE_CRATE;
    let samples = [0, 1, 2].map(|number| Sample::new(number).id.to_string());
    json!({
        "path": path,
        "owner": owner,
        "hasUpdate": has_update,
        "parameters": example::parameters(),
        "body": example().body,
        "samples": samples,
        "secondsOfOperations": time.0.as_secs(),
    })
}

#[cfg(test)]
mod tests;
