//! Shows what a data directory says, and what a sweep would do. Changes nothing.

use serde::Serialize;

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::identity::Scene;
use crate::plan::{Evidence, LeftAlone, plan};
use crate::record::{ProcessState, Record};
use crate::run_dir::{Access, ForeignRun, RunMeta};
use crate::run_id::RunId;
use crate::store::read_records;
use crate::table::{ProcessTable, Tagged};

/// What is known about a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The run.
    pub run_id: RunId,
    /// Whether its host lives.
    pub state: RunState,
    /// What its host wrote about itself.
    pub meta: Option<RunMeta>,
    /// Its workers.
    pub workers: Vec<WorkerReport>,
    /// What a sweep would kill; for a living run, nothing.
    pub would_kill: Vec<WouldKill>,
    /// What a sweep would leave alone.
    pub would_leave: Vec<LeftAlone>,
    /// What cannot be read, if anything.
    pub problem: Option<String>,
}

/// Whether the host of a run lives, and where it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its host holds the lock.
    Alive,
    /// Its host is dead.
    Dead,
    /// It is from an earlier boot.
    EarlierBoot,
    /// Its host is dead and had other process ids than we see.
    OtherNamespace,
    /// Its host is dead and its files are damaged.
    Damaged,
}

/// A recorded worker.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerReport {
    /// The name that its host gave.
    pub worker_id: String,
    /// How far it had come.
    pub state: ProcessState,
    /// Its process id, if it had one.
    pub pid: Option<i32>,
    /// Process id of its shim, if it had one.
    pub shim: Option<i32>,
    /// Whether it dies with its host.
    pub dependent: bool,
}

/// A process that a sweep would kill.
#[derive(Clone, Debug, Serialize)]
pub struct WouldKill {
    /// Process id.
    pub pid: i32,
    /// The worker's id, if it has a row.
    pub worker_id: Option<String>,
    /// How sure it is.
    pub evidence: Evidence,
}

/// How often the file of a living run is read again when a change fell into the reading.
const READS: usize = 5;

pub(crate) fn inspect(
    data: &DataDir,
    here: &Scene,
    table: &dyn ProcessTable,
) -> Result<Vec<RunReport>, Error> {
    let tagged = table.tagged().map_err(|e| Error::io("read", "/proc", e))?;
    let mut reports = Vec::new();
    for id in data.list()?.0 {
        if let Some(run) = ForeignRun::open(data, id, Access::Look)? {
            reports.push(report(&run, here, &tagged, table));
        }
    }
    Ok(reports)
}

fn report(
    run: &ForeignRun,
    here: &Scene,
    tagged: &[Tagged],
    table: &dyn ProcessTable,
) -> RunReport {
    let alive = run.alive();
    let mut problem = None;
    let mut note = |e: Error| problem = Some(e.to_string());
    let meta = run.meta().map_err(&mut note).ok();
    let state = match &meta {
        _ if alive => RunState::Alive,
        None => RunState::Damaged,
        Some(meta) if meta.scene.boot_id != here.boot_id => RunState::EarlierBoot,
        Some(meta) if !meta.scene.comparable(here) => RunState::OtherNamespace,
        Some(_) => RunState::Dead,
    };
    let readable = matches!(
        state,
        RunState::Alive | RunState::Dead | RunState::OtherNamespace
    );
    let records = if readable {
        records(run, alive).map_err(&mut note).ok()
    } else {
        None
    };
    let state = if readable && records.is_none() && !alive {
        RunState::Damaged
    } else {
        state
    };
    let records = records.unwrap_or_default();
    let (mut would_kill, mut would_leave) = (Vec::new(), Vec::new());
    if !alive && state != RunState::EarlierBoot {
        let comparable = state == RunState::Dead;
        match plan(run.id, &records, comparable, tagged, table) {
            Ok(plan) => {
                would_leave = plan.left;
                would_kill.extend(plan.targets.iter().map(|target| WouldKill {
                    pid: target.held.pid(),
                    worker_id: target.worker_id.clone(),
                    evidence: target.evidence,
                }));
            }
            Err(e) => note(Error::io("read", "/proc", e)),
        }
    }
    let workers = records.into_iter().map(worker).collect();
    RunReport {
        run_id: run.id,
        state,
        meta,
        workers,
        would_kill,
        would_leave,
        problem,
    }
}

fn worker(record: Record) -> WorkerReport {
    WorkerReport {
        pid: record.identity.map(|identity| identity.pid),
        shim: record.shim.map(|shim| shim.pid),
        dependent: record.cookie.dependent(),
        state: record.state,
        worker_id: record.worker_id,
    }
}

/// The pages of a living run can change while they are read; the checks notice that.
fn records(run: &ForeignRun, alive: bool) -> Result<Vec<Record>, Error> {
    let mut result = read_records(&run.database());
    for _ in 1..READS {
        if !alive || result.is_ok() {
            break;
        }
        result = read_records(&run.database());
    }
    result
}
