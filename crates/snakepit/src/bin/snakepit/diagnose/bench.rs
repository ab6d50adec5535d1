//! The trials in order, and the host that is running.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use snakepit::diag::{Machine, ProfileTrial, Scaling, Usage, WorkerCost};
use snakepit::{PoolBuilder, PoolHandle, PythonProfile, Snakepit};
use tempfile::TempDir;
use tokio::time::Instant;

use super::options::DiagnoseOptions;
use super::{say, trials};
use crate::failure::Failure;

/// Name of the pool.
pub(super) const POOL: &str = "diagnose";

/// A minimal, thread-safe adapter.
const ADAPTER: &str = "\
from snakepit_bridge import tool

__thread_safe__ = True

@tool
def ping() -> str:
    return 'pong'
";

/// Slots of the worker of the thread profile.
const SLOTS: u16 = 4;

/// Number of timed calls.
const CALLS: u32 = 100;

/// Number of workers that show the cost of one, without the one-off cost of the first.
const SAMPLE: usize = 4;

/// Time that a worker has for its clean-up.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The trials and their results.
pub(super) struct Bench<'a> {
    pub(super) options: &'a DiagnoseOptions,
    pub(super) scaling: Scaling,
    pub(super) usage: Usage,
    /// Descriptors that the host has open without its workers.
    pub(super) files_before: u64,
    adapter: PathBuf,
    host: Option<Snakepit>,
    _home: TempDir,
}

impl<'a> Bench<'a> {
    pub(super) fn new(options: &'a DiagnoseOptions) -> Result<Self, Failure> {
        let home = tempfile::tempdir()?;
        let adapter = home.path().join("diagnose.py");
        fs::write(&adapter, ADAPTER)?;
        let machine = Machine::here();
        let bytes = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let fifth = machine.memory_bytes.unwrap_or(0) / 5;
        let usage = Usage::here(
            options.keep_free.map_or(fifth, bytes),
            options.max_memory.map(bytes),
        );
        Ok(Self {
            options,
            scaling: Scaling {
                machine,
                ..Scaling::default()
            },
            usage,
            files_before: 0,
            adapter,
            host: None,
            _home: home,
        })
    }

    pub(super) const fn scaling(&self) -> &Scaling {
        &self.scaling
    }

    /// Runs all trials. The last host keeps running.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        say("starting a worker of the thread profile");
        let threads = PythonProfile::Thread {
            threads_per_worker: SLOTS,
        };
        self.profile("thread", threads).await?;
        self.end().await;
        say("starting a worker of the process profile");
        let pool = self.profile("process", PythonProfile::Process).await?;
        if let Some(run) = self.host.as_ref().and_then(Snakepit::run) {
            say("reserving records");
            self.scaling.registry = Some(trials::registry(run).await?);
        }
        say("starting processes");
        self.scaling.spawn = Some(trials::processes().await?);
        say("opening connections");
        let most = self.options.steps().last().copied().unwrap_or(0);
        let files = self.scaling.machine.open_files_limit;
        self.scaling.connections = Some(trials::connections(most, files).await?);
        self.sample(&pool).await?;
        self.climb(&pool).await
    }

    /// Starts a host with one worker and measures its start and its calls.
    async fn profile(&mut self, name: &str, profile: PythonProfile) -> Result<PoolHandle, Failure> {
        let started = Instant::now();
        let snakepit = start(&self.adapter, self.options, profile).await?;
        let start_seconds = started.elapsed().as_secs_f64();
        self.host = Some(snakepit.clone());
        let called = Instant::now();
        for _ in 0..CALLS {
            snakepit.execute::<String>("ping", ()).await?;
        }
        let call_us = called.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS);
        let report = snakepit.report();
        let worker = report.pools.first().and_then(|pool| pool.workers.first());
        self.scaling.profiles.push(ProfileTrial {
            profile: name.to_owned(),
            slots: worker.map_or(0, |worker| worker.capacity),
            start_seconds,
            memory_bytes: worker.and_then(|worker| worker.memory_bytes),
            call_us,
            gil_enabled: worker.and_then(|worker| worker.gil_enabled),
        });
        Ok(snakepit.default_pool().clone())
    }

    /// Starts a few workers and measures the cost of each.
    async fn sample(&mut self, pool: &PoolHandle) -> Result<(), Failure> {
        let files = Machine::here().open_files.unwrap_or(0);
        // Until then, the first worker is the estimate.
        self.files_before = files;
        self.find_cost(0);
        let first = self.options.steps().first().copied().unwrap_or(SAMPLE);
        let most = first.min(SAMPLE);
        if most < 2 {
            return Ok(());
        }
        say("measuring the memory and descriptors of a worker");
        let step = self.step(pool, most, false).await?;
        if step.stop.is_some() {
            self.scaling.steps.push(step);
            return Ok(());
        }
        let now = Machine::here().open_files.unwrap_or(0);
        let per_worker = now.saturating_sub(files) / (most as u64 - 1);
        self.files_before = files.saturating_sub(per_worker);
        self.find_cost(per_worker * most as u64);
        Ok(())
    }

    /// Computes the cost of a worker and the limits that follow.
    pub(super) fn find_cost(&mut self, descriptors: u64) {
        let report = self.host.as_ref().map(Snakepit::report).unwrap_or_default();
        let cost = report.pools.first();
        let cost = cost.and_then(|pool| WorkerCost::of(pool, descriptors));
        self.scaling.cost = cost.unwrap_or(self.scaling.cost);
        self.scaling.find_limits(&self.usage);
    }

    /// Returns the current memory of all workers in bytes.
    pub(super) fn memory(&self) -> Option<u64> {
        let report = self.host.as_ref()?.report();
        report
            .pools
            .first()?
            .memory
            .map(|memory| memory.total_bytes)
    }

    /// Shuts down the running host with all its workers.
    pub(super) async fn end(&mut self) {
        let Some(host) = &self.host else { return };
        say("ending the workers");
        let report = host.shutdown().await;
        if !report.leftover.is_empty() {
            tracing::error!(pids = ?report.leftover, "killed, but still running");
        }
        self.host = None;
    }
}

async fn start(
    adapter: &Path,
    options: &DiagnoseOptions,
    profile: PythonProfile,
) -> Result<Snakepit, Failure> {
    let mut pool = PoolBuilder::new(POOL, adapter.to_string_lossy())
        .workers(1)
        .profile(profile)
        .configure(|pool| {
            pool.drain_timeout = Duration::ZERO;
            pool.stop_grace = STOP_GRACE;
            pool.restart.max_restarts = 0;
            pool.start_timeout = options.step_timeout;
        });
    if let Some(python) = &options.python {
        pool = pool.python(python);
    }
    let mut builder = Snakepit::builder().pool(pool);
    if let Some(dir) = &options.data_dir {
        builder = builder.data_dir(dir);
    }
    let started = builder.start().await;
    // Here the time of a start has an option of its own.
    started.map_err(|error| Failure::from(error).help_word("`--timeout`", "`--step-timeout`"))
}
