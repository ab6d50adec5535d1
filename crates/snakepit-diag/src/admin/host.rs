//! The served host: its pools, its events, and the output of its workers.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snakepit_core::error::ErrorCode;
use snakepit_core::events::{Event, Events};
use snakepit_core::host_tools::HostTools;
use snakepit_core::id::{CallId, PoolName, WorkerId};
use snakepit_core::pool::{Pool, WeakPool};
use snakepit_core::worker::{LogLine, Tail};
use snakepit_registry::{RECORDING, Registry};
use tokio::time::Instant;
use tonic::Status;

use super::error::refusal;
use super::history::History;
use crate::recorder::{HostToolRecorder, Recorder};
use crate::{CallReport, Death, Machine, PoolReport, Report, process};

/// Last lines of a worker that are recorded with its death.
const LAST_LINES: usize = 12;

/// Time for which a report of the machine is reused: making one lists all descriptors of the
/// process.
const MACHINE_HOLDS: Duration = Duration::from_secs(2);

/// The state that an [`AdminServer`](super::AdminServer) serves. It keeps no pool running, and is
/// cheap to clone.
#[derive(Clone)]
pub struct AdminHost {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    program: String,
    started: Instant,
    events: Events,
    lines: Tail<LogLine>,
    pools: Arc<Mutex<Vec<Watched>>>,
    history: History,
    machine: Mutex<Option<(Instant, Machine)>>,
}

/// A pool of the host.
struct Watched {
    name: PoolName,
    pool: WeakPool,
    /// `None` if there was no room for a recording file.
    recorder: Option<Arc<Recorder>>,
}

impl AdminHost {
    /// Creates the host whose workers are recorded in `registry`, whose events go to `events`, and
    /// whose workers write `lines`.
    pub fn new(registry: &Registry, events: &Events, lines: &Tail<LogLine>) -> Self {
        let pools: Arc<Mutex<Vec<Watched>>> = Arc::default();
        let (watched, written) = (Arc::clone(&pools), lines.clone());
        let on_death = move |pool: &PoolName, death: &Death| {
            let recorder = {
                let pools = lock(&watched);
                let of_pool = pools.iter().find(|one| one.name == *pool);
                of_pool.and_then(|one| one.recorder.clone())
            };
            if let Some(recorder) = recorder {
                recorder.died(death, &last_lines(&written, &death.worker));
            }
        };
        let program = std::env::current_exe().unwrap_or_default();
        let inner = Inner {
            registry: registry.clone(),
            program: program.display().to_string(),
            started: Instant::now(),
            events: events.clone(),
            lines: lines.clone(),
            pools,
            history: History::of(events, Box::new(on_death)),
            machine: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Adds a pool, and records its calls from now on in a file of some 370 kB in the run's
    /// directory. Blocks for a few system calls.
    pub fn add_pool(&self, pool: &Pool) {
        let mut pools = self.pools();
        let file = format!("{RECORDING}{}", pools.len());
        let words = self.inner.registry.share_words(&file, Recorder::WORDS);
        let recorder = match words {
            Ok(words) => {
                let recorder = Arc::new(Recorder::new(words, pool.name().as_str()));
                pool.observe(recorder.clone()).then_some(recorder)
            }
            Err(error) => {
                tracing::warn!(pool = %pool.name(), %error, "the calls of a pool are not recorded");
                None
            }
        };
        pools.push(Watched {
            name: pool.name().clone(),
            pool: pool.downgrade(),
            recorder,
        });
    }

    /// Records the calls of host tools from now on, in a file like those of the pools, which the
    /// first call creates.
    pub fn add_host_tools(&self, tools: &HostTools) {
        tools.observe(Arc::new(HostToolRecorder::new(&self.inner.registry)));
    }

    fn pools(&self) -> MutexGuard<'_, Vec<Watched>> {
        lock(&self.inner.pools)
    }

    /// Returns the pools that still run, with their recorders.
    fn living(&self) -> Vec<(Pool, Option<Arc<Recorder>>)> {
        let pools = self.pools();
        let living = pools
            .iter()
            .filter_map(|one| Some((one.pool.upgrade()?, one.recorder.clone())));
        living.collect()
    }

    /// Returns the current state of the host. It lacks the memory of workers: [`Report::measure`]
    /// reads that in any process of this user.
    pub fn report(&self) -> Report {
        let now = Instant::now();
        let pools = self.living().into_iter().map(|(pool, recorder)| {
            let mut report = PoolReport::from(&pool);
            let history = &self.inner.history;
            report.deaths = history.deaths(pool.name());
            history.places(pool.name(), &mut report.workers);
            report.calls = recorder.map_or_else(Vec::new, |recorder| recorder.running(now));
            report
        });
        let mut report = Report::on(self.machine(now), pools);
        report.host.run = Some(self.run());
        let uptime = now.saturating_duration_since(self.inner.started);
        report.host.uptime_seconds = uptime.as_secs_f64();
        report
    }

    fn machine(&self, now: Instant) -> Machine {
        let mut last = lock(&self.inner.machine);
        match &*last {
            Some((at, machine)) if now.saturating_duration_since(*at) < MACHINE_HOLDS => {
                machine.clone()
            }
            _ => last.insert((now, Machine::here())).1.clone(),
        }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    pub(super) fn run(&self) -> String {
        self.inner.registry.run_id().to_string()
    }

    pub(super) fn program(&self) -> &str {
        &self.inner.program
    }

    pub(super) fn lines(&self) -> &Tail<LogLine> {
        &self.inner.lines
    }

    pub(super) fn history(&self) -> &History {
        &self.inner.history
    }

    /// Returns the workers that match. An empty `pool` or `worker` matches all.
    pub(super) fn workers(
        &self,
        pool: &str,
        worker: &str,
    ) -> Result<Vec<(Pool, WorkerId)>, Status> {
        let pools = self.living();
        if !pool.is_empty() && !pools.iter().any(|(one, _)| one.name().as_str() == pool) {
            return Err(refusal(
                ErrorCode::UnknownPool,
                format!("the host has no pool `{pool}`"),
            ));
        }
        let mut workers = Vec::new();
        for (one, _) in pools {
            if !pool.is_empty() && one.name().as_str() != pool {
                continue;
            }
            for status in one.workers() {
                if worker.is_empty() || status.id.as_str() == worker {
                    workers.push((one.clone(), status.id));
                }
            }
        }
        if workers.is_empty() && !worker.is_empty() {
            return Err(refusal(
                ErrorCode::UnknownWorker,
                format!("the host has no worker `{worker}`"),
            ));
        }
        Ok(workers)
    }

    /// Returns those of the workers whose processes are stopped, with their process ids.
    pub(super) fn stopped(&self, workers: &[(Pool, WorkerId)]) -> Vec<(WorkerId, u32)> {
        let pools = self.living();
        let all = pools.iter().flat_map(|(pool, _)| pool.workers());
        let stopped = all.filter(|worker| {
            workers.iter().any(|(_, id)| *id == worker.id)
                && worker.pid.is_some_and(process::is_stopped)
        });
        stopped
            .filter_map(|worker| Some((worker.id, worker.pid?)))
            .collect()
    }

    /// Returns the running call with this number, and its pool.
    pub(super) fn call(&self, call: u64) -> Result<(Pool, CallReport), Status> {
        let now = Instant::now();
        for (pool, recorder) in self.living() {
            let running = recorder.map_or_else(Vec::new, |recorder| recorder.running(now));
            if let Some(found) = running.into_iter().find(|one| one.call == call) {
                return Ok((pool, found));
            }
        }
        Err(refusal(
            ErrorCode::NotRunning,
            format!("no call {call} runs"),
        ))
    }

    /// Emits the event of an action that a client has requested.
    pub(super) fn report_action(
        &self,
        pool: &Pool,
        action: &'static str,
        worker: &WorkerId,
        call: Option<CallId>,
        peer: Option<u32>,
    ) {
        self.inner.events.publish(Event::AdminAction {
            pool: pool.name().clone(),
            worker: worker.clone(),
            call,
            action,
            peer_pid: peer,
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the last lines that a worker has written.
fn last_lines(lines: &Tail<LogLine>, worker: &str) -> String {
    let lines = lines.after(0);
    let own = lines
        .iter()
        .filter(|(_, line)| line.worker.as_str() == worker);
    let mut last: Vec<&str> = own
        .rev()
        .take(LAST_LINES)
        .map(|(_, line)| &*line.text)
        .collect();
    last.reverse();
    last.join("\n")
}

impl fmt::Debug for AdminHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminHost")
            .field("run", &self.run())
            .finish_non_exhaustive()
    }
}
