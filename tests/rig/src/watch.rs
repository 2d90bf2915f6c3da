//! What the wire knows of each resource: the weather of its calls, the calls still on their way,
//! and every write that landed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::engine::Write;
use crate::fault::{Fault, Weather};

/// A write of a resource that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    pub operation: String,
    /// Shows which request wrote it: the body of a PUT, the id of a DELETE's request.
    pub mark: String,
    pub is_deletion: bool,
    /// When the engine was called.
    pub called: Duration,
    /// When the engine had confirmed it.
    pub at: Duration,
}

/// A resource under watch.
#[derive(Debug)]
struct Watched {
    weather: Weather,
    /// Until then the table accepts no write of it.
    hot_until: Duration,
    rng: Rng,
    under_way: usize,
    landed: Vec<Landed>,
    /// The request that each operation was made for.
    requests: HashMap<String, String>,
}

/// The resource of a call that names none.
pub const OTHERS: &str = "";

/// All resources under watch.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    /// By id; [`OTHERS`] is for calls that name no watched resource.
    resources: Mutex<HashMap<String, Watched>>,
    strays: Mutex<Vec<(String, Landed)>>,
}

impl Watch {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let (started, resources, strays) = (Instant::now(), Mutex::default(), Mutex::default());
        let watch = Self { started, resources, strays };
        watch.enter(OTHERS, Weather::Mild, Duration::ZERO, seed);
        Arc::new(watch)
    }

    fn resources(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.resources.lock().unwrap()
    }

    /// The time of all records.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Watches `resource` from now on. During `hot` the table accepts no write of it.
    pub fn enter(&self, resource: &str, weather: Weather, hot: Duration, seed: u64) {
        let watched = Watched {
            weather,
            hot_until: self.now() + hot,
            rng: Rng::with_seed(seed),
            under_way: 0,
            landed: Vec::new(),
            requests: HashMap::new(),
        };
        self.resources().insert(resource.to_owned(), watched);
    }

    /// From now on the weather of `resource` is fair.
    pub fn calm(&self, resource: &str) {
        if let Some(watched) = self.resources().get_mut(resource) {
            watched.weather = Weather::Fair;
        }
    }

    /// Whether no call for `resource` is under way.
    pub fn is_quiet(&self, resource: &str) -> bool {
        self.resources().get(resource).is_none_or(|watched| watched.under_way == 0)
    }

    /// Ends the watch of a resource; returns all writes that landed.
    pub fn leave(&self, resource: &str) -> Vec<Landed> {
        self.resources().remove(resource).map(|watched| watched.landed).unwrap_or_default()
    }

    /// Writes that landed on resources that are no longer watched.
    pub fn strays(&self) -> Vec<(String, Landed)> {
        self.strays.lock().unwrap().clone()
    }

    /// What happens to a call for `resource`, and how long that delays it. The call is under way
    /// until the last value is dropped.
    pub(crate) fn begin(
        self: &Arc<Self>,
        resource: Option<String>,
        is_write: bool,
    ) -> (Option<Fault>, Duration, UnderWay) {
        let now = self.now();
        let mut resources = self.resources();
        let resource = resource.filter(|resource| resources.contains_key(resource));
        let resource = resource.unwrap_or_else(|| OTHERS.to_owned());
        let watched = resources.get_mut(&resource).expect("it is watched");
        watched.under_way += 1;
        let fault = if is_write && now < watched.hot_until {
            Some(Fault::Throttled)
        } else {
            watched.weather.next(&mut watched.rng)
        };
        let delay = fault.map_or(Duration::ZERO, |fault| fault.delay(&mut watched.rng));
        (fault, delay, UnderWay { watch: Arc::clone(self), resource })
    }

    /// `operation` was made for the request with this id. The first call that says so is right.
    pub(crate) fn made(&self, resource: &str, operation: &str, request: String) {
        if let Some(watched) = self.resources().get_mut(resource) {
            watched.requests.entry(operation.to_owned()).or_insert(request);
        }
    }

    /// A write landed; the engine was `called` for it at that time.
    pub(crate) fn land(&self, write: Write, called: Duration) {
        let Write { resource, operation, body } = write;
        let mut resources = self.resources();
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
    resource: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(watched) = self.watch.resources().get_mut(&self.resource) {
            watched.under_way -= 1;
        }
    }
}
