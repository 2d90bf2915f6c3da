//! How often what occurred.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Counts by name.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    /// One more of `name`.
    pub fn add(&self, name: &str) {
        self.add_many(name, 1);
    }

    /// So many more of `name`.
    pub fn add_many(&self, name: &str, count: u64) {
        let mut counts = self.0.lock().unwrap();
        match counts.get_mut(name) {
            Some(old) => *old += count,
            None => drop(counts.insert(name.to_owned(), count)),
        }
    }

    /// All counts.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap().clone()
    }
}
