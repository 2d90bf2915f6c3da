//! What the wire knows of each user: the weather of its calls, what is still on its way,
//! and every write that landed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::rig::fault::{Fault, Weather};

/// A write of a user that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// The operation that the user was then at.
    pub operation: String,
    /// The user's body.
    pub body: String,
    /// When the engine had confirmed it.
    pub at: Duration,
}

/// A user under watch.
#[derive(Debug)]
struct User {
    weather: Weather,
    /// Until when the table takes no write of it.
    hot_until: Option<Duration>,
    rng: Rng,
    under_way: usize,
    landed: Vec<Landed>,
}

/// All users under watch.
#[derive(Debug)]
pub struct Watch {
    started: Instant,
    users: Mutex<HashMap<String, User>>,
    /// For calls that name no user.
    others: Mutex<(Weather, Rng)>,
    strays: Mutex<Vec<(String, Landed)>>,
}

impl Watch {
    pub(crate) fn new(seed: u64, mischief: bool) -> Self {
        let others = if mischief { Weather::MILD } else { Weather::FAIR };
        Self {
            started: Instant::now(),
            users: Mutex::default(),
            others: Mutex::new((others, Rng::with_seed(seed))),
            strays: Mutex::default(),
        }
    }

    /// The time of all records.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Watches `user` from now on, whose calls meet this weather. `hot`: how long the
    /// table takes no write of it.
    pub fn enter(&self, user: &str, weather: Weather, hot: Option<Duration>, seed: u64) {
        let user_now = User {
            weather,
            hot_until: hot.map(|hot| self.now() + hot),
            rng: Rng::with_seed(seed),
            under_way: 0,
            landed: Vec::new(),
        };
        self.users.lock().unwrap().insert(user.to_owned(), user_now);
    }

    /// From now on the weather of `user`, and of calls that name no user, is fair.
    pub fn calm(&self, user: &str) {
        if let Some(user) = self.users.lock().unwrap().get_mut(user) {
            user.weather = Weather::FAIR;
        }
    }

    /// Sets the weather of calls that name no user.
    pub fn set_others(&self, weather: Weather) {
        self.others.lock().unwrap().0 = weather;
    }

    /// Whether no call about `user` is under way.
    #[must_use]
    pub fn is_quiet(&self, user: &str) -> bool {
        self.users.lock().unwrap().get(user).is_none_or(|user| user.under_way == 0)
    }

    /// Ends the watch of a user; returns all that landed.
    #[must_use]
    pub fn leave(&self, user: &str) -> Vec<Landed> {
        self.users.lock().unwrap().remove(user).map(|user| user.landed).unwrap_or_default()
    }

    /// What landed on a user that nobody watched any more.
    #[must_use]
    pub fn strays(&self) -> Vec<(String, Landed)> {
        self.strays.lock().unwrap().clone()
    }

    /// What happens to a call about `user`, which is under way until the second value is
    /// dropped.
    pub(crate) fn begin(
        self: &Arc<Self>,
        user: Option<String>,
        is_write: bool,
    ) -> (Fault, UnderWay) {
        let now = self.now();
        let mut users = self.users.lock().unwrap();
        let watched = user.as_ref().and_then(|user| users.get_mut(user));
        let fault = match watched {
            Some(user) => {
                user.under_way += 1;
                let is_hot = is_write && user.hot_until.is_some_and(|until| now < until);
                if is_hot { Fault::Throttled } else { user.weather.next(&mut user.rng) }
            }
            None => {
                let (weather, rng) = &mut *self.others.lock().unwrap();
                weather.next(rng)
            }
        };
        (fault, UnderWay { watch: Arc::clone(self), user })
    }

    pub(crate) fn land(&self, [user, operation, body]: [String; 3]) {
        let landed = Landed { operation, body, at: self.now() };
        match self.users.lock().unwrap().get_mut(&user) {
            Some(user) => user.landed.push(landed),
            None => self.strays.lock().unwrap().push((user, landed)),
        }
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct UnderWay {
    watch: Arc<Watch>,
    user: Option<String>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(user) = &self.user
            && let Some(user) = self.watch.users.lock().unwrap().get_mut(user)
        {
            user.under_way = user.under_way.saturating_sub(1);
        }
    }
}
