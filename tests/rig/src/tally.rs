//! Counts of what occurred.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Counts by name.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    pub fn add(&self, name: &str) {
        self.add_many(name, 1);
    }

    pub fn add_many(&self, name: &str, count: u64) {
        *self.0.lock().unwrap().entry(name.to_owned()).or_default() += count;
    }

    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap().clone()
    }
}
