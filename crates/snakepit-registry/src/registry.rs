//! One run of a host: its directory, its database and its children.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::cgroup;
use crate::clock::Deadline;
use crate::containment::Containment;
use crate::data_dir::DataDir;
use crate::ending;
use crate::error::Error;
use crate::gate::Gate;
use crate::identity::Scene;
use crate::inherited;
use crate::inspect::{self, RunReport};
use crate::plan::{LeftAlone, Reach};
use crate::probe::Support;
use crate::record::Record;
use crate::registration::{Registration, Reservation, Spawned};
use crate::run_dir::RunDir;
use crate::run_id::RunId;
use crate::spec::CommandSpec;
use crate::store::{Store, StoreSize, StoreStats};
use crate::sweep::{self, SweepReport};
use crate::table::HostTable;
use crate::writer::Writer;

/// Settings of a registry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegistryConfig {
    /// Directory shared by all hosts of this user; created if missing, with mode 0700.
    pub data_dir: PathBuf,
    /// Containment of children whose spec does not choose one.
    pub containment: Containment,
    /// Longest time that a spawn is retried while the system has no process, descriptor or memory
    /// to spare. 5 s by default.
    pub spawn_retry: Duration,
    /// Longest time that a killed process may take to die before it is reported as left over. 1 s
    /// by default.
    pub confirm: Duration,
    /// Longest time that a sweep may take. 3 s by default.
    pub sweep_budget: Duration,
    /// Sizes of the database.
    pub store: StoreSize,
}

impl RegistryConfig {
    /// Creates the default settings for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            containment: Containment::default(),
            spawn_retry: Duration::from_secs(5),
            confirm: Duration::from_secs(1),
            sweep_budget: Duration::from_secs(3),
            store: StoreSize::default(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: RegistryConfig,
    pub(crate) gate: Gate,
    pub(crate) writer: Writer,
    pub(crate) run: Arc<RunDir>,
    scene: Scene,
    generation: AtomicU64,
    /// Runs that were swept already and are examined once more by the next sweep.
    swept: Mutex<Vec<RunId>>,
}

/// The registry of this run. Clones share it. It is closed when the last clone and the last
/// registration are dropped.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

/// Starts processes of a run.
#[derive(Clone, Debug)]
pub struct Spawner {
    pub(crate) inner: Arc<Inner>,
}

/// Facts about a registry, for reports.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegistryStats {
    /// Facts about the database.
    pub store: StoreStats,
    /// The reason new records are not safe, if there is one: the run directory was removed or
    /// changed and cannot be restored. Running processes stay as well protected as before.
    pub degraded: Option<String>,
    /// The features that this kernel supports.
    pub support: Support,
    /// The registry's containment.
    pub containment: Containment,
}

/// The result of closing a registry.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CloseReport {
    /// Processes that were killed.
    pub killed: Vec<i32>,
    /// Processes of this run that did not die in time.
    pub leftover: Vec<i32>,
    /// Independent processes that keep running.
    pub independent: Vec<LeftAlone>,
}

impl Registry {
    /// Opens the data directory and begins a new run in it. Does not examine other runs: call
    /// [`sweep`](Self::sweep) for that.
    ///
    /// # Errors
    /// [`Error::DataDir`] if the directory cannot be used or trusted, [`Error::Containment`] if the
    /// chosen containment does not work here, and others.
    pub fn open(config: RegistryConfig) -> Result<Self, Error> {
        let mode = config.containment;
        mode.probe()
            .map_err(|refusal| Error::Containment { mode, refusal })?;
        inherited::watch();
        let data = DataDir::prepare(&config.data_dir)?;
        let scene = Scene::here().map_err(|e| Error::io("read", "/proc", e))?;
        let run = Arc::new(RunDir::create(&data, &config.data_dir, scene.clone())?);
        let mended = Arc::clone(&run);
        let writer = Store::open(&run.database(), config.store)
            .and_then(|store| Writer::start(store, Box::new(move |store| mended.mend(store))));
        let writer = match writer {
            Ok(writer) => writer,
            Err(e) => {
                // The first error is reported; the next sweep removes an empty run directory.
                let _ = run.remove();
                return Err(e);
            }
        };
        let inner = Inner {
            config,
            gate: Gate::default(),
            writer,
            run,
            scene,
            generation: AtomicU64::new(1),
            swept: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the id of this run.
    pub fn run_id(&self) -> RunId {
        self.inner.run.id()
    }

    /// Returns a directory of mode 0700 for the sockets of this run. A name in it may have up to
    /// [`SOCKET_NAME`](crate::SOCKET_NAME) bytes.
    pub fn socket_dir(&self) -> PathBuf {
        self.inner.run.sockets()
    }

    /// Announces a process. Blocks until its row is committed.
    ///
    /// # Errors
    /// The id is not usable, or the row cannot be written. No process may be started then.
    pub fn reserve(&self, worker_id: impl AsRef<str>) -> Result<Reservation, Error> {
        let id = worker_id.as_ref();
        Record::check_worker_id(id).map_err(|problem| Error::WorkerId {
            id: id.to_owned(),
            problem,
        })?;
        // A database whose name was removed would keep working, but no sweep would ever find it.
        self.mend()?;
        let generation = self.inner.generation.fetch_add(1, Ordering::Relaxed);
        Reservation::new(Arc::clone(&self.inner), id, generation)
    }

    /// Checks that the files of this run are in place and restores those that were removed or
    /// moved, including the directory for sockets. The writer thread does the same once a second,
    /// and [`reserve`](Self::reserve) does it too. Blocks for a few system calls.
    ///
    /// # Errors
    /// The files cannot be restored, or the registry is closed.
    pub fn mend(&self) -> Result<(), Error> {
        self.inner.writer.mend()
    }

    /// Returns the spawner for the processes of this run.
    pub fn spawner(&self) -> Spawner {
        Spawner {
            inner: Arc::clone(&self.inner),
        }
    }

    /// Ends the runs of dead hosts: kills their remaining processes and removes their directories.
    /// Runs of living hosts are not touched. A later call examines the runs that were swept before
    /// once more, because the first sweep can miss a process that was being started while its host
    /// died.
    ///
    /// # Errors
    /// The data directory cannot be read. Problems with a single run are in the report.
    pub fn sweep(&self) -> Result<SweepReport, Error> {
        let inner = &self.inner;
        if !inner.writer.is_ours() {
            return Err(Error::Closed);
        }
        let data = DataDir::prepare(&inner.config.data_dir)?;
        let again = inner
            .swept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let order = sweep::Order {
            own: Some(inner.run.id()),
            again: &again,
            budget: inner.config.sweep_budget,
            reach: Reach::Dependent,
        };
        let report = sweep::sweep(&data, order, &inner.scene, &HostTable)?;
        let mut swept = inner.swept.lock().unwrap_or_else(PoisonError::into_inner);
        for run in report.runs.iter().filter(|run| run.ended()) {
            if !swept.contains(&run.run_id) {
                swept.push(run.run_id);
            }
        }
        Ok(report)
    }

    /// Sweeps, waits for `pause` and sweeps again, and passes each report to `told`. Returns after
    /// the first sweep if the spawn gate closes.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep).
    pub fn sweep_twice(
        &self,
        pause: Duration,
        mut told: impl FnMut(&SweepReport),
    ) -> Result<(), Error> {
        told(&self.sweep()?);
        if self.inner.gate.pause(pause) {
            told(&self.sweep()?);
        }
        Ok(())
    }

    /// Returns the records of this run.
    ///
    /// # Errors
    /// The database cannot be read, or the registry is closed.
    pub fn list(&self) -> Result<Vec<Record>, Error> {
        self.inner.writer.records()
    }

    /// Returns facts about this registry.
    ///
    /// # Errors
    /// As for [`list`](Self::list).
    pub fn stats(&self) -> Result<RegistryStats, Error> {
        // A failure is reported as `degraded` below.
        let _ = self.inner.writer.mend();
        let degraded = self.inner.run.problem();
        Ok(RegistryStats {
            store: self.inner.writer.stats()?,
            degraded,
            support: Support::probe(),
            containment: self.inner.config.containment,
        })
    }

    /// Reads this run's database file as another host would, compares it with LMDB's view, and
    /// returns the number of records.
    ///
    /// # Errors
    /// The file is damaged, or its records differ.
    pub fn validate(&self) -> Result<usize, Error> {
        let dir = self.inner.run.database();
        let records = self.list()?;
        let seen = crate::stored::read_records(&dir)?;
        if seen.len() != records.len() {
            // The database may have changed between the two reads; that is no damage.
            let (records, seen) = (self.list()?, crate::stored::read_records(&dir)?);
            if seen != records {
                let detail = "two ways of reading it differ".to_owned();
                return Err(Error::Corrupt { path: dir, detail });
            }
        }
        Ok(records.len())
    }

    /// Closes the spawn gate and waits for spawns in progress. Idempotent.
    pub fn close_gate(&self) {
        self.inner.gate.close();
    }

    /// Ends the run: closes the gate, kills every remaining process of the run (independent ones
    /// keep running), ends the writer and removes the run directory. Idempotent. Blocks for the
    /// confirm time at most.
    ///
    /// # Errors
    /// The run directory cannot be removed, or `/proc` cannot be read.
    pub fn close(&self) -> Result<CloseReport, Error> {
        let inner = &self.inner;
        if !inner.writer.is_ours() {
            // A forked copy of the host must not end processes that the host has started.
            return Err(Error::Closed);
        }
        inner.gate.close();
        let deadline = Deadline::after(inner.config.confirm);
        let mut report = CloseReport::default();
        let outcome = ending::kill_tagged(&[inner.run.id()], deadline, &HostTable)?;
        report.killed = outcome.killed.iter().map(|killed| killed.pid).collect();
        report.leftover = outcome.leftover;
        let (killed, leftover) =
            ending::end_cgroups(inner.run.id(), &[], &cgroup::beside(), deadline);
        report.killed.extend(killed.iter().map(|killed| killed.pid));
        report.leftover.extend(leftover);
        report.independent = outcome.left;
        inner.writer.close();
        if report.leftover.is_empty() && report.independent.is_empty() {
            inner.run.remove()?;
        } else {
            inner.run.retire();
        }
        Ok(report)
    }

    /// Reports all runs of a data directory and what a sweep would do. Changes nothing.
    ///
    /// # Errors
    /// The data directory does not exist or cannot be trusted.
    pub fn inspect(data_dir: &Path) -> Result<Vec<RunReport>, Error> {
        let data = DataDir::existing(data_dir)?;
        let scene = Scene::here().map_err(|e| Error::io("read", "/proc", e))?;
        inspect::inspect(&data, &scene, &HostTable)
    }

    /// Sweeps a data directory without beginning a run in it.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep).
    pub fn sweep_data_dir(data_dir: &Path, budget: Duration) -> Result<SweepReport, Error> {
        Self::end_orphans(data_dir, budget, Reach::Dependent)
    }

    /// Sweeps a data directory for an administrator, who may also choose to end processes that were
    /// started to outlive their host, or what such processes have left.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep).
    pub fn end_orphans(
        data_dir: &Path,
        budget: Duration,
        reach: Reach,
    ) -> Result<SweepReport, Error> {
        let data = DataDir::existing(data_dir)?;
        let scene = Scene::here().map_err(|e| Error::io("read", "/proc", e))?;
        let order = sweep::Order {
            own: None,
            again: &[],
            budget,
            reach,
        };
        sweep::sweep(&data, order, &scene, &HostTable)
    }
}

impl Spawner {
    /// Starts a reserved process. Blocks until it executes its program and its record is committed.
    ///
    /// # Errors
    /// The program cannot be started or recorded. No process of it remains.
    pub fn spawn(
        &self,
        reservation: Reservation,
        spec: &CommandSpec,
    ) -> Result<(Registration, Spawned), Error> {
        let _ = &self.inner;
        reservation.spawn(spec)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.writer.is_ours() {
            return;
        }
        self.gate.close();
        match self.writer.close() {
            Some(0) => drop(self.run.remove()),
            // Remaining rows name processes that may still live: the next sweep needs them.
            Some(_) => self.run.retire(),
            None => {}
        }
    }
}
