//! One run of a host: its directory, its database, its children.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    /// Directory shared by all hosts of this user; created when missing, with mode 0700.
    pub data_dir: PathBuf,
    /// How far the registry reaches for what its children start.
    pub containment: Containment,
    /// How long a spawn is tried again while the system has no process, descriptor or memory to
    /// spare. 5 s by default.
    pub spawn_retry: Duration,
    /// How long a killed process may take to die before it is reported as left over. 1 s by
    /// default.
    pub confirm: Duration,
    /// How long a sweep may take. 3 s by default.
    pub sweep_budget: Duration,
    /// Sizes of the database.
    pub store: StoreSize,
}

impl RegistryConfig {
    /// The default settings for a data directory.
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
    /// Runs that were swept already and are looked at a second time.
    swept: Mutex<Vec<RunId>>,
}

/// The registry of this run. Clones share it; it is closed when the last clone and the last
/// registration are gone.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

/// Starts processes of a run.
#[derive(Clone, Debug)]
pub struct Spawner {
    pub(crate) inner: Arc<Inner>,
}

/// Facts about a registry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegistryStats {
    /// About the database.
    pub store: StoreStats,
    /// What keeps new records from being safe, if anything: the run directory was removed or changed
    /// and cannot be put back. Running processes are as well protected as before.
    pub degraded: Option<String>,
    /// What this kernel supports.
    pub support: Support,
    /// How far the registry reaches.
    pub containment: Containment,
}

/// How closing went.
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
    /// Opens the data directory and begins a new run in it. Does not look at other runs; call
    /// [`sweep`](Self::sweep) for that.
    ///
    /// # Errors
    /// [`Error::DataDir`] when the directory cannot be used or trusted,
    /// [`Error::Containment`] when the chosen containment does not work here, and others.
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
                // The first error matters; an empty run directory is removed by the next sweep.
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

    /// The name of this run.
    pub fn run_id(&self) -> RunId {
        self.inner.run.id()
    }

    /// A directory of mode 0700 for the sockets of this run. Names in it may have
    /// [`SOCKET_NAME`](crate::SOCKET_NAME) bytes.
    pub fn socket_dir(&self) -> PathBuf {
        self.inner.run.sockets()
    }

    /// Announces a process. Blocks until the row is committed.
    ///
    /// # Errors
    /// The id is not usable, or the row cannot be written; then nothing may be started.
    pub fn reserve(&self, worker_id: impl AsRef<str>) -> Result<Reservation, Error> {
        let id = worker_id.as_ref();
        Record::check_worker_id(id).map_err(|problem| Error::WorkerId {
            id: id.to_owned(),
            problem,
        })?;
        // Without its name the database goes on where no sweep will ever find it.
        self.mend()?;
        let generation = self.inner.generation.fetch_add(1, Ordering::Relaxed);
        Reservation::new(Arc::clone(&self.inner), id, generation)
    }

    /// Looks whether the files of this run are in their places, and puts back what somebody has
    /// removed or moved away, the directory for sockets included. That is also done once a second,
    /// and by [`reserve`](Self::reserve). Blocks for a few system calls.
    ///
    /// # Errors
    /// They cannot be put back, or the registry is closed.
    pub fn mend(&self) -> Result<(), Error> {
        self.inner.writer.mend()
    }

    /// What starts the processes of this run.
    pub fn spawner(&self) -> Spawner {
        Spawner {
            inner: Arc::clone(&self.inner),
        }
    }

    /// Deals with the runs of hosts that have died: kills what is left of them, removes their
    /// directories. Runs of living hosts are not touched. When it is called again, runs that
    /// were swept before are looked at once more, because a process that was being started while
    /// its host died can be missed the first time.
    ///
    /// # Errors
    /// The data directory cannot be read. Trouble with a single run is in the report.
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

    /// Sweeps, waits, sweeps again, and tells what came of each. Returns after the first sweep when
    /// the gate is closed.
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

    /// The records of this run.
    ///
    /// # Errors
    /// The database cannot be read, or the registry is closed.
    pub fn list(&self) -> Result<Vec<Record>, Error> {
        self.inner.writer.records()
    }

    /// Facts about this registry.
    ///
    /// # Errors
    /// As for [`list`](Self::list).
    pub fn stats(&self) -> Result<RegistryStats, Error> {
        // Its failure is the answer.
        let _ = self.inner.writer.mend();
        let degraded = self.inner.run.problem();
        Ok(RegistryStats {
            store: self.inner.writer.stats()?,
            degraded,
            support: Support::probe(),
            containment: self.inner.config.containment,
        })
    }

    /// Reads this run's file as another host would and compares it with what LMDB says. Answers
    /// with the number of records.
    ///
    /// # Errors
    /// The file is damaged, or differs.
    pub fn validate(&self) -> Result<usize, Error> {
        let dir = self.inner.run.database();
        let records = self.list()?;
        let seen = crate::stored::read_records(&dir)?;
        if seen.len() != records.len() {
            // Changes between the two readings are no damage.
            let (records, seen) = (self.list()?, crate::stored::read_records(&dir)?);
            if seen != records {
                let detail = "two ways of reading it differ".to_owned();
                return Err(Error::Corrupt { path: dir, detail });
            }
        }
        Ok(records.len())
    }

    /// Closes the spawn gate and waits for spawns that are on their way. Idempotent.
    pub fn close_gate(&self) {
        self.inner.gate.close();
    }

    /// Ends the run: closes the gate, kills every process of it that still lives (independent
    /// ones keep running), ends the writer and removes the run directory. Idempotent. Blocks for
    /// the confirm time at most.
    ///
    /// # Errors
    /// The run directory cannot be removed, or `/proc` cannot be read.
    pub fn close(&self) -> Result<CloseReport, Error> {
        let inner = &self.inner;
        if !inner.writer.is_ours() {
            // A copy of the host must not end what the host has started.
            return Err(Error::Closed);
        }
        inner.gate.close();
        let deadline = Deadline::after(inner.config.confirm);
        let mut report = CloseReport::default();
        let outcome = ending::kill_tagged(&[inner.run.id()], deadline, &HostTable)?;
        report.killed = outcome.killed.iter().map(|killed| killed.pid).collect();
        report.leftover = outcome.leftover;
        let (killed, leftover) = ending::end_cgroups(inner.run.id(), &[], deadline);
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

    /// What the data directory says about all its runs, and what a sweep would do. Changes
    /// nothing.
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

    /// The same for a person who looks after the machine, who may also want to end processes that
    /// were started to outlive their host, or what they have left.
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
    /// Starts a reserved process. Blocks until it runs its program and its record is committed.
    ///
    /// # Errors
    /// The program cannot be started or recorded; then no process is left of it.
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
            // Rows that are left name processes that may still live: the next sweep needs them.
            Some(_) => self.run.retire(),
            None => {}
        }
    }
}
