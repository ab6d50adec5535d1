//! The run of a host: one registry for all its pools.

mod cleanup;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::events::Events;
use snakepit_core::worker::{LogLine, Tail};
use snakepit_redact::Known;
use snakepit_registry::{
    CloseReport, CommandSpec, Error, Registration, Registry, RegistryConfig, Spawned, Support,
    SweepReport, Tier, is_usable,
};

use crate::DATA_DIR_VAR;
use cleanup::Cleanup;

/// Time between the two sweeps: the first can miss a process that was being started when its host
/// died.
const SECOND_SWEEP: Duration = Duration::from_secs(5);

/// The run of one host: the records of its workers in one data directory. Cheap to clone.
///
/// A run ends with [`Run::close`], or when the last clone is dropped. A process may have several
/// runs, also in the same directory.
#[derive(Clone, Debug)]
pub struct Run {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    data_dir: PathBuf,
    support: Support,
    events: Events,
    last_lines: Tail<LogLine>,
    /// Values that its workers have named as secret.
    secrets: Arc<Known>,
    /// The reason why the last worker could not be recorded. `None` if it could.
    degraded: Mutex<Option<String>>,
}

impl Run {
    /// Begins a run in `data_dir`. Without it, uses the directory that [`DATA_DIR_VAR`] names,
    /// `$XDG_STATE_HOME/snakepit`, or `~/.local/state/snakepit`. If none is named and the default
    /// cannot be used, uses a private directory for temporary files and logs a warning. Blocks for
    /// a few system calls.
    ///
    /// A background thread cleans up after runs of dead hosts.
    ///
    /// # Errors
    /// [`ErrorCode::DataDir`] if the directory cannot be used or trusted.
    pub fn open(data_dir: Option<&Path>) -> Result<Self, StartError> {
        Self::open_with(data_dir, &Events::new())
    }

    /// Opens a run like [`open`](Self::open), and emits the events of clean-ups into this hub.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(data_dir: Option<&Path>, events: &Events) -> Result<Self, StartError> {
        let named = data_dir.map(Path::to_owned).or_else(|| {
            let value = std::env::var_os(DATA_DIR_VAR)?;
            (!value.is_empty()).then(|| PathBuf::from(value))
        });
        match named {
            Some(dir) => Self::begin(&dir, events).map_err(|error| refused(&error)),
            None => Self::begin_in_usual(usual_dir(), &temporary_dir(), events),
        }
    }

    /// Begins a run in the default directory, or in its substitute.
    fn begin_in_usual(
        usual: Option<PathBuf>,
        substitute: &Path,
        events: &Events,
    ) -> Result<Self, StartError> {
        let reason = match usual {
            Some(dir) => match Self::begin(&dir, events) {
                Ok(run) => return Ok(run),
                Err(error) => error.to_string(),
            },
            None => "there is no home directory".to_owned(),
        };
        let run = Self::begin(substitute, events).map_err(|error| refused(&error))?;
        tracing::warn!(
            reason,
            data_dir = %substitute.display(),
            "the usual data directory cannot be used; set SNAKEPIT_DATA_DIR"
        );
        Ok(run)
    }

    fn begin(dir: &Path, events: &Events) -> Result<Self, Error> {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let registry = Registry::open(RegistryConfig::new(&dir))?;
        let support = Support::probe();
        if !support.death_pipe {
            tracing::warn!(
                tier = tier_name(support.tier()),
                "this kernel does not end workers with their host; the next start ends them"
            );
        }
        sweep_in_background(registry.clone(), events.clone());
        let inner = Inner {
            registry,
            data_dir: dir,
            support,
            events: events.clone(),
            last_lines: Tail::default(),
            secrets: Arc::new(Known::shared()),
            degraded: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the data directory.
    pub fn data_dir(&self) -> &Path {
        &self.inner.data_dir
    }

    /// Returns the registry of the run.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Returns the last lines that its workers have written, including log records of their code.
    pub fn last_lines(&self) -> &Tail<LogLine> {
        &self.inner.last_lines
    }

    /// Returns the values that its workers have named as secret, which all of them mask.
    pub(crate) fn secrets(&self) -> &Arc<Known> {
        &self.inner.secrets
    }

    /// Returns the tier of protection against workers that outlive this process: `full`, `kernel`
    /// or `sweep`.
    pub fn containment(&self) -> &'static str {
        tier_name(self.inner.support.tier())
    }

    /// Returns the reason why no worker can be recorded at the moment. `None` if they can. Running
    /// workers are not affected.
    pub fn degraded(&self) -> Option<String> {
        let degraded = self.inner.degraded.lock();
        degraded.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reserves a record for a worker, starts it and records it. Blocks for two commits.
    pub(crate) fn start(
        &self,
        worker: &str,
        spec: &CommandSpec,
    ) -> Result<(Registration, Spawned), Error> {
        let registry = &self.inner.registry;
        let started = registry
            .reserve(worker)
            .and_then(|reservation| registry.spawner().spawn(reservation, spec));
        let degraded = match &started {
            // These errors do not concern the registry.
            Err(
                Error::Spawn { .. }
                | Error::Containment { .. }
                | Error::GateClosed
                | Error::WorkerId { .. },
            ) => return started,
            Err(error) => Some(error.to_string()),
            Ok(_) => None,
        };
        if let Some(reason) = &degraded {
            tracing::error!(reason, "workers cannot be recorded, so none is started");
        }
        let mut current = self
            .inner
            .degraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *current = degraded;
        started
    }

    /// Rejects all further starts. Waits for starts in progress.
    pub fn close_gate(&self) {
        self.inner.registry.close_gate();
    }

    /// Kills every worker that still lives and removes the run's directory. Blocks for at most a
    /// second.
    ///
    /// # Errors
    /// The directory cannot be removed, or the processes cannot be listed.
    pub fn close(&self) -> Result<CloseReport, Error> {
        let cleanup = Cleanup::begin(&self.inner.registry, &self.inner.events, "end");
        let report = self.inner.registry.close()?;
        cleanup.end(report.killed.len(), report.leftover.len());
        Ok(report)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The second sweep must not keep the run alive.
        self.registry.close_gate();
    }
}

const fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Sweep => "sweep",
        Tier::Kernel => "kernel",
        Tier::Full => "full",
    }
}

/// Returns `$XDG_STATE_HOME/snakepit` or `~/.local/state/snakepit`.
fn usual_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let state =
        absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("snakepit"))
}

/// Returns a fixed directory, so that the next host finds the records of this one. The registry
/// rejects it if another user has created it.
fn temporary_dir() -> PathBuf {
    let user = nix::unistd::geteuid();
    std::env::temp_dir().join(format!("snakepit-{user}"))
}

/// Returns the default data directory: the one that [`DATA_DIR_VAR`] names, else the usual one, or
/// its substitute if hosts cannot use it.
pub fn default_data_dir() -> PathBuf {
    let named = std::env::var_os(DATA_DIR_VAR).filter(|value| !value.is_empty());
    named.map_or_else(|| used_dir(usual_dir(), temporary_dir()), PathBuf::from)
}

/// Returns the directory that [`Run::begin_in_usual`] has presumably used.
fn used_dir(usual: Option<PathBuf>, substitute: PathBuf) -> PathBuf {
    match usual {
        Some(usual) if is_usable(&usual) || !is_usable(&substitute) => usual,
        _ => substitute,
    }
}

fn refused(error: &Error) -> StartError {
    let message = format!("the data directory cannot be used: {error}");
    let mut start = StartError::new(ErrorCode::DataDir, message);
    start.help = Some(error.help().to_owned());
    start.permanent = true;
    start
}

/// Sweeps on a thread, since a sweep blocks and is not waited for.
fn sweep_in_background(registry: Registry, events: Events) {
    let sweeping = std::thread::Builder::new()
        .name("snakepit-sweep".to_owned())
        .spawn(move || {
            let cleanup = Cleanup::begin(&registry, &events, "start");
            let (mut killed, mut leftover) = (0, 0);
            let swept = registry.sweep_twice(SECOND_SWEEP, |report| {
                log_sweep(report);
                cleanup::report_orphans(&events, report);
                killed += report.killed();
                leftover += cleanup::leftover(report);
            });
            match swept {
                Ok(()) => cleanup.end(killed, leftover),
                Err(error) => {
                    tracing::warn!(%error, "the sweep of processes left by dead hosts failed")
                }
            }
        });
    if let Err(error) = sweeping {
        tracing::warn!(%error, "the sweep of processes left by dead hosts could not start");
    }
}

fn log_sweep(report: &SweepReport) {
    for run in &report.runs {
        for killed in &run.killed {
            let worker = killed.worker_id.as_deref().unwrap_or("unknown");
            tracing::warn!(run = %run.run_id, pid = killed.pid, worker, "killed a process left by a dead host");
        }
        for left in &run.left {
            tracing::warn!(run = %run.run_id, ?left, "did not end a process left by a dead host");
        }
        if !run.leftover.is_empty() {
            tracing::error!(run = %run.run_id, pids = ?run.leftover, "killed, but still running");
        }
        if let Some(problem) = &run.problem {
            tracing::warn!(run = %run.run_id, problem, "the sweep of a run is incomplete");
        }
    }
    if report.unfinished > 0 {
        let runs = report.unfinished;
        tracing::warn!(
            runs,
            "there was no time to sweep some runs of dead hosts; the next sweep continues"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_cannot_be_used_is_replaced_and_a_named_directory_never() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let substitute = dir.path().join("substitute");
        for usual in [Some(file.join("snakepit")), Some(file.clone()), None] {
            let run =
                Run::begin_in_usual(usual, &substitute, &Events::new()).expect("the substitute");
            assert_eq!(run.data_dir(), substitute);
            assert_eq!(run.degraded(), None);
        }
        for usual in [Some(file.join("snakepit")), Some(file.clone()), None] {
            assert_eq!(used_dir(usual, substitute.clone()), substitute);
        }
        let usual = dir.path().join("usual");
        let nowhere = dir.path().join("nowhere");
        assert_eq!(used_dir(Some(usual.clone()), nowhere), usual);
        drop(Run::begin(&usual, &Events::new()).expect("a directory"));
        assert_eq!(used_dir(Some(usual.clone()), substitute), usual);
        let error = Run::open(Some(&file)).expect_err("a file is no directory");
        assert_eq!(error.code, ErrorCode::DataDir);
        assert!(error.permanent && error.help.is_some(), "{error:?}");
    }

    #[test]
    fn two_runs_of_one_process_share_a_directory_and_leave_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let one = Run::open(Some(dir.path())).expect("a run");
        let two = Run::open(Some(dir.path())).expect("another run");
        assert_ne!(one.registry().run_id(), two.registry().run_id());
        let report = one.close().expect("it closes");
        assert!(report.killed.is_empty() && report.leftover.is_empty());
        two.registry().validate().expect("the other one goes on");
        let runs = || std::fs::read_dir(dir.path().join("runs")).map_or(0, Iterator::count);
        assert_eq!(runs(), 1);
        let _ = two.close().expect("it closes");
        assert_eq!(runs(), 0);
    }

    #[test]
    fn a_sweep_without_time_for_all_runs_is_logged() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        for (unfinished, expected) in [(0, false), (3, true)] {
            let log = std::fs::File::create(&path).expect("a file");
            let subscriber = tracing_subscriber::fmt().with_writer(log).finish();
            let report = SweepReport {
                unfinished,
                ..SweepReport::default()
            };
            tracing::subscriber::with_default(subscriber, || log_sweep(&report));
            let log = std::fs::read_to_string(&path).expect("a log");
            assert_eq!(log.contains("some runs of dead hosts"), expected, "{log}");
        }
    }
}
