//! The last events of a host, and the deaths of its workers among them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use snakepit_core::events::{Emitted, Event, Events, Subscription};
use snakepit_core::{PoolName, Tail};
use tracing::Level;

use crate::Death;

/// Events kept.
const EVENTS: usize = 2048;

/// Deaths kept of each pool.
const DEATHS: usize = 16;

/// Events under names that worker code gives.
const CUSTOM: [&str; 2] = ["python.*", "tool.*"];

/// What to do about a death besides.
type OnDeath = dyn Fn(&PoolName, &Death) + Send + Sync;

/// The events that are not part of each single call. It takes them until it is dropped.
pub(super) struct History {
    pub(super) events: Tail<Emitted>,
    deaths: Arc<Deaths>,
    subscriptions: Vec<Subscription>,
}

/// The last deaths of each pool's workers, the last one first.
type Deaths = Mutex<HashMap<PoolName, VecDeque<Death>>>;

impl History {
    /// Begins to take the events of a hub. It subscribes to those alone that it keeps: others cost what they cost without it.
    pub(super) fn of(hub: &Events, on_death: Box<OnDeath>) -> Self {
        let events = Tail::new(EVENTS, usize::MAX);
        let deaths: Arc<Deaths> = Arc::default();
        let (tail, kept) = (events.clone(), Arc::clone(&deaths));
        let handler = Arc::new(move |emitted: &Emitted| {
            if let Some((pool, death)) = death(emitted) {
                on_death(pool, &death);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let kept = kept.entry(pool.clone()).or_default();
                kept.push_front(death);
                kept.truncate(DEATHS);
            }
            tail.push(emitted.clone(), 0);
        });
        let kept = Event::CATALOGUE
            .iter()
            .filter(|info| info.level <= Level::DEBUG);
        let names = kept.map(|info| info.name).chain(CUSTOM);
        let subscriptions = names.filter_map(|name| {
            let handler = Arc::clone(&handler);
            hub.on_event(name, move |emitted| handler(emitted)).ok()
        });
        Self {
            events,
            deaths,
            subscriptions: subscriptions.collect(),
        }
    }

    /// The last deaths of a pool's workers, the last one first.
    pub(super) fn deaths(&self, pool: &PoolName) -> Vec<Death> {
        let deaths = self.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        deaths.get(pool).into_iter().flatten().cloned().collect()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        for subscription in self.subscriptions.drain(..) {
            subscription.detach();
        }
    }
}

/// The death that an event tells of.
fn death(emitted: &Emitted) -> Option<(&PoolName, Death)> {
    let Event::WorkerCrashed {
        pool,
        worker,
        exit,
        cause,
        total_calls,
    } = &emitted.event
    else {
        return None;
    };
    let since = emitted.at.duration_since(SystemTime::UNIX_EPOCH);
    let death = Death {
        worker: worker.as_str().to_owned(),
        at: since.unwrap_or_default().as_secs_f64(),
        exit: exit.clone(),
        cause: (*cause).to_owned(),
        calls: *total_calls,
    };
    Some((pool, death))
}
