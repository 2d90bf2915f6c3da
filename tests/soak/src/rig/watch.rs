//! What the wire knows of each resource: the weather of its calls, what is still on its way,
//! and every write that landed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::rig::engine::Write;
use crate::rig::fault::{Fault, Weather};

/// A write of a resource that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The operation that the resource was then at.
    pub operation: String,
    /// What tells whose it is: the resource's body, or the id of the request that deleted it.
    pub mark: String,
    /// Whether it deleted the resource.
    pub is_deletion: bool,
    /// When the engine was called.
    pub called: Duration,
    /// When the engine had confirmed it.
    pub at: Duration,
}

/// A resource under watch.
#[derive(Debug)]
struct StoredResource {
    weather: Weather,
    /// Until when the table takes no write of it.
    hot_until: Option<Duration>,
    rng: Rng,
    under_way: usize,
    landed: Vec<Landed>,
    /// The request that each operation was made for.
    requests: HashMap<String, String>,
}

/// All resources under watch.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    resources: Mutex<HashMap<String, StoredResource>>,
    /// For calls that name no resource.
    others: Mutex<(Weather, Rng)>,
    strays: Mutex<Vec<(String, Landed)>>,
}

impl Watch {
    pub(crate) fn new(seed: u64, mischief: bool) -> Self {
        let others = if mischief { Weather::MILD } else { Weather::FAIR };
        Self {
            started: Instant::now(),
            resources: Mutex::default(),
            others: Mutex::new((others, Rng::with_seed(seed))),
            strays: Mutex::default(),
        }
    }

    /// The time of all records.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Watches `resource` from now on, whose calls meet this weather. `hot`: how long the
    /// table takes no write of it.
    pub fn enter(&self, resource: &str, weather: Weather, hot: Option<Duration>, seed: u64) {
        let resource_now = StoredResource {
            weather,
            hot_until: hot.map(|hot| self.now() + hot),
            rng: Rng::with_seed(seed),
            under_way: 0,
            landed: Vec::new(),
            requests: HashMap::new(),
        };
        self.resources.lock().unwrap().insert(resource.to_owned(), resource_now);
    }

    /// From now on the weather of `resource`, and of calls that name no resource, is fair.
    pub fn calm(&self, resource: &str) {
        if let Some(resource) = self.resources.lock().unwrap().get_mut(resource) {
            resource.weather = Weather::FAIR;
        }
    }

    /// Sets the weather of calls that name no resource.
    pub fn set_others(&self, weather: Weather) {
        self.others.lock().unwrap().0 = weather;
    }

    /// Whether no call about `resource` is under way.
    #[must_use]
    pub fn is_quiet(&self, resource: &str) -> bool {
        self.resources.lock().unwrap().get(resource).is_none_or(|resource| resource.under_way == 0)
    }

    /// Ends the watch of a resource; returns all that landed.
    #[must_use]
    pub fn leave(&self, resource: &str) -> Vec<Landed> {
        self.resources
            .lock()
            .unwrap()
            .remove(resource)
            .map(|resource| resource.landed)
            .unwrap_or_default()
    }

    /// What landed on a resource that nobody watched any more.
    #[must_use]
    pub fn strays(&self) -> Vec<(String, Landed)> {
        self.strays.lock().unwrap().clone()
    }

    /// What happens to a call about `resource`, which is under way until the second value is
    /// dropped.
    pub(crate) fn begin(
        self: &Arc<Self>,
        resource: Option<String>,
        is_write: bool,
    ) -> (Fault, UnderWay) {
        let now = self.now();
        let mut resources = self.resources.lock().unwrap();
        let watched = resource.as_ref().and_then(|resource| resources.get_mut(resource));
        let fault = match watched {
            Some(resource) => {
                resource.under_way += 1;
                let is_hot = is_write && resource.hot_until.is_some_and(|until| now < until);
                if is_hot { Fault::Throttled } else { resource.weather.next(&mut resource.rng) }
            }
            None => {
                let (weather, rng) = &mut *self.others.lock().unwrap();
                weather.next(rng)
            }
        };
        (fault, UnderWay { watch: Arc::clone(self), resource })
    }

    /// `operation` was made for the request of this id. The first to say so is right.
    pub(crate) fn made(&self, resource: &str, operation: &str, request: String) {
        if let Some(resource) = self.resources.lock().unwrap().get_mut(resource) {
            resource.requests.entry(operation.to_owned()).or_insert(request);
        }
    }

    /// A write landed that the engine was `called` for then.
    pub(crate) fn land(&self, write: Write, called: Duration) {
        let Write { resource, operation, body } = write;
        let mut resources = self.resources.lock().unwrap();
        let mut watched = resources.get_mut(&resource);
        let is_deletion = body.is_none();
        let request = || watched.as_ref()?.requests.get(&operation).cloned();
        let mark = body.or_else(request).unwrap_or_default();
        let landed = Landed { operation, mark, is_deletion, called, at: self.now() };
        match &mut watched {
            Some(watched) => watched.landed.push(landed),
            None => self.strays.lock().unwrap().push((resource, landed)),
        }
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct UnderWay {
    watch: Arc<Watch>,
    resource: Option<String>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(resource) = &self.resource
            && let Some(resource) = self.watch.resources.lock().unwrap().get_mut(resource)
        {
            resource.under_way = resource.under_way.saturating_sub(1);
        }
    }
}
