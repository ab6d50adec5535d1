//! Metrics: exact counts and states of pools, collected on request, and counts that are available
//! only from events.

mod calls;
mod counters;
mod custom;
mod desc;
mod histogram;
mod pools;
mod processes;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snakepit_core::events::record::Measurement;
use snakepit_core::events::{Event, Events, Kind as EventKind, Subscription, kind};
use snakepit_core::host_tools::HostState;
use snakepit_core::id::PoolName;
use snakepit_core::pool::{Pool, WeakPool};

use crate::redact::Redaction;
use calls::Calls;
use counters::Counters;
use custom::Custom;
pub use desc::{Desc, Family, Kind, Labels, Point, Value};
use desc::{Families, Id};
pub use histogram::{Exemplar, Histogram};

/// Label value that stands for all values above a limit.
const OVERFLOW: &str = "overflow";

/// The kinds of events that are counted.
const COUNTED: [EventKind; 6] = [
    kind::CallCompleted,
    kind::WorkerStarted,
    kind::WorkerCrashed,
    kind::WorkerRecycled,
    kind::CircuitOpened,
    kind::TelemetryDropped,
];

/// The metrics of one host. Cheap to clone; all clones share the same metrics.
///
/// Numbers of attempts, workers and slots are those of [`Pool::status`], so they always add up.
/// Calls, causes and reasons are counted from events since [`attach`](Self::attach), without loss.
/// No label has an unbounded number of values: label sets above a limit are counted together under
/// `overflow`.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Mutex<Vec<(PoolName, WeakPool)>>,
    states: Mutex<Vec<HostState>>,
    calls: Calls,
    counters: Counters,
    custom: Custom,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(1000)
    }
}

impl Metrics {
    /// Creates empty metrics, with at most `label_sets` sets of labels for each metric.
    pub fn new(label_sets: usize) -> Self {
        let inner = Inner {
            pools: Mutex::default(),
            states: Mutex::default(),
            calls: Calls::new(label_sets),
            counters: Counters::new(label_sets),
            custom: Custom::new(label_sets),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Counts events of a hub until the subscription is detached.
    pub fn attach(&self, events: &Events) -> Subscription {
        let inner = Arc::clone(&self.inner);
        events.on_kinds(&COUNTED, move |event| {
            if let Event::CallCompleted { .. } = event {
                inner.calls.count(event);
            } else {
                inner.counters.count(event);
            }
        })
    }

    /// Adds a pool. The metrics do not keep it alive; a dropped pool has no values.
    pub fn add_pool(&self, pool: &Pool) {
        let mut pools = lock(&self.inner.pools);
        pools.retain(|(name, weak)| name != pool.name() && weak.upgrade().is_some());
        pools.push((pool.name().clone(), pool.downgrade()));
        drop(pools);
        self.inner.counters.begin(pool.name().as_str());
    }

    /// Adds the sessions of a host.
    pub fn add_state(&self, state: &HostState) {
        lock(&self.inner.states).push(state.clone());
    }

    /// Returns the pools that are alive.
    pub fn pools(&self) -> Vec<Pool> {
        let pools = lock(&self.inner.pools);
        let alive = pools.iter().filter_map(|(_, weak)| weak.upgrade());
        alive.collect()
    }

    /// Collects all values: the host's own metrics first, then the instruments of worker code by
    /// name.
    pub fn families(&self) -> Vec<Family> {
        let mut families = Families::default();
        self.inner.calls.families(&mut families);
        for pool in self.pools() {
            pools::pool(&pool, &mut families);
        }
        for state in lock(&self.inner.states).iter() {
            pools::state(state, &mut families);
        }
        self.inner.counters.families(&mut families);
        let mut families = families.finish();
        self.inner.custom.families(&mut families);
        families
    }

    /// Records a measurement of worker code. A rejected measurement is counted as dropped.
    pub(crate) fn measure(&self, measured: &Measurement, redaction: &Redaction) {
        if let Err(refused) = self.inner.custom.measure(measured, redaction) {
            self.dropped("measurements", refused.reason(), 1);
        }
    }

    /// Counts dropped telemetry records.
    pub(crate) fn dropped(&self, signal: &'static str, reason: &'static str, records: u64) {
        let labels = [("signal", signal), ("reason", reason)];
        self.inner.counters.add(Id::Dropped, &labels, records);
    }

    /// Counts records that a collector has accepted.
    #[cfg(feature = "otlp")]
    pub(crate) fn exported(&self, signal: &'static str, records: u64) {
        let labels = [("signal", signal)];
        self.inner.counters.add(Id::Exported, &labels, records);
    }

    /// Returns the number of records dropped so far.
    pub(crate) fn total_dropped(&self) -> u64 {
        self.inner.counters.total(Id::Dropped)
    }

    /// Returns the number of records that collectors have accepted so far.
    pub(crate) fn total_exported(&self) -> u64 {
        self.inner.counters.total(Id::Exported)
    }
}

fn label(name: &'static str, value: impl Into<Arc<str>>) -> (Cow<'static, str>, Arc<str>) {
    (Cow::Borrowed(name), value.into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pools: Vec<_> = lock(&self.inner.pools)
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        f.debug_struct("Metrics")
            .field("pools", &pools)
            .finish_non_exhaustive()
    }
}
