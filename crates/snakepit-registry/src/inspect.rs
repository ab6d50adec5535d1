//! Reports the state of a data directory and what a sweep would do. Changes nothing.

use serde::Serialize;

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::foreign_run::{Access, ForeignRun};
use crate::identity::{Ownership, Scene};
use crate::lost;
use crate::plan::{Evidence, LeftAlone, Target, plan};
use crate::record::{ProcessState, Record};
use crate::run_dir::RunMeta;
use crate::run_id::RunId;
use crate::table::{ProcessTable, Tagged};

/// The report on one run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// The id of the run.
    pub run_id: RunId,
    /// The state of its host and its files.
    pub state: RunState,
    /// The host's metadata. `None` if it cannot be read.
    pub meta: Option<RunMeta>,
    /// The recorded workers.
    pub workers: Vec<WorkerReport>,
    /// Processes that a sweep would kill; none for a living run.
    pub would_kill: Vec<WouldKill>,
    /// Processes that a sweep would leave alone.
    pub would_leave: Vec<LeftAlone>,
    /// The first problem in reading the run, if there was one.
    pub problem: Option<String>,
}

/// The state of a run: whether its host lives, where it ran, and whether its files can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// The host lives.
    Alive,
    /// The host is dead.
    Dead,
    /// The run is from an earlier boot.
    EarlierBoot,
    /// The host is dead and lived in another process id namespace.
    OtherNamespace,
    /// The host is dead and the files of the run are damaged.
    Damaged,
    /// A file or directory of the run cannot be opened or is not trusted. Its contents are ignored,
    /// and no sweep touches it.
    Untrusted,
}

/// A recorded worker.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerReport {
    /// The worker id that its host chose.
    pub worker_id: String,
    /// The stage that the worker had reached.
    pub state: ProcessState,
    /// The worker's process id, if it had one.
    pub pid: Option<i32>,
    /// The process id of the worker's shim, if it had one.
    pub shim: Option<i32>,
    /// `true` if the worker dies with its host.
    pub dependent: bool,
    /// `true` if the recorded process still lives. `None` if that cannot be determined.
    pub lives: Option<bool>,
}

/// A process that a sweep would kill.
#[derive(Clone, Debug, Serialize)]
pub struct WouldKill {
    /// Process id.
    pub pid: i32,
    /// The worker's id, if it has a row.
    pub worker_id: Option<String>,
    /// The evidence that it belongs to the run.
    pub evidence: Evidence,
}

impl WouldKill {
    fn of(target: &Target) -> Self {
        Self {
            pid: target.held.pid(),
            worker_id: target.worker_id.clone(),
            evidence: target.evidence,
        }
    }
}

impl RunReport {
    fn bad(run_id: RunId, problem: &Error) -> Self {
        Self {
            run_id,
            state: RunState::Untrusted,
            meta: None,
            workers: Vec::new(),
            would_kill: Vec::new(),
            would_leave: Vec::new(),
            problem: Some(problem.to_string()),
        }
    }
}

/// Number of attempts to read the database of a living run, which may change during a read.
const READS: usize = 5;

pub(crate) fn inspect(
    data: &DataDir,
    here: &Scene,
    table: &dyn ProcessTable,
) -> Result<Vec<RunReport>, Error> {
    let tagged = table.tagged().map_err(|e| Error::io("read", "/proc", e))?;
    let mut reports = Vec::new();
    for id in data.list()?.0 {
        match ForeignRun::open(data, id, Access::Look) {
            Ok(Some(run)) => reports.push(report(&run, here, &tagged, table)),
            Ok(None) => {}
            // A bad run must not hide the others.
            Err(e) => reports.push(RunReport::bad(id, &e)),
        }
    }
    let known = |id| reports.iter().any(|report| report.run_id == id);
    for id in lost::runs(data, here, &tagged, known) {
        reports.push(without_directory(id, &tagged, table)?);
    }
    Ok(reports)
}

/// Reports the processes of a run whose directory was removed.
fn without_directory(
    run_id: RunId,
    tagged: &[Tagged],
    table: &dyn ProcessTable,
) -> Result<RunReport, Error> {
    let plan = plan(run_id, &[], true, tagged, table);
    let plan = plan.map_err(|e| Error::io("read", "/proc", e))?;
    Ok(RunReport {
        run_id,
        state: RunState::Dead,
        meta: None,
        workers: Vec::new(),
        would_kill: plan.targets.iter().map(WouldKill::of).collect(),
        would_leave: plan.left,
        problem: None,
    })
}

fn report(
    run: &ForeignRun<'_>,
    here: &Scene,
    tagged: &[Tagged],
    table: &dyn ProcessTable,
) -> RunReport {
    let alive = run.alive(here, tagged);
    let mut problem = None;
    let mut note = |e: Error| problem = Some(e.to_string());
    let meta = run.meta().map_err(&mut note).ok().cloned();
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
        records(run, alive)
    } else {
        Ok(Vec::new())
    };
    let state = match &records {
        Err(e) if !alive && e.is_distrust() => RunState::Untrusted,
        Err(_) if !alive => RunState::Damaged,
        _ => state,
    };
    let records = records.map_err(&mut note).ok();
    let records = records.unwrap_or_default();
    let (mut would_kill, mut would_leave) = (Vec::new(), Vec::new());
    if !alive && !matches!(state, RunState::EarlierBoot | RunState::Untrusted) {
        let comparable = state == RunState::Dead;
        match plan(run.id, &records, comparable, tagged, table) {
            Ok(plan) => {
                would_leave = plan.left;
                would_kill.extend(plan.targets.iter().map(WouldKill::of));
            }
            Err(e) => note(Error::io("read", "/proc", e)),
        }
    }
    let comparable = meta
        .as_ref()
        .is_some_and(|meta| meta.scene.comparable(here));
    let worker = |record| worker(record, comparable, table);
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

fn worker(record: Record, comparable: bool, table: &dyn ProcessTable) -> WorkerReport {
    WorkerReport {
        pid: record.identity.as_ref().map(|identity| identity.pid),
        shim: record.shim.as_ref().map(|shim| shim.pid),
        dependent: record.cookie.dependent(),
        state: record.state,
        lives: comparable.then(|| lives(&record, table)).flatten(),
        worker_id: record.worker_id,
    }
}

fn lives(record: &Record, table: &dyn ProcessTable) -> Option<bool> {
    let identity = record.identity.as_ref()?;
    let Some(held) = table.hold(identity.pid).ok()? else {
        return Some(false);
    };
    let Some(seen) = held.observe().ok()? else {
        return Some(false);
    };
    match identity.judge(record.cookie, &seen) {
        Ownership::Ours | Ownership::OursByReducedRule => Some(true),
        Ownership::Stranger => Some(false),
        Ownership::Unknown => None,
    }
}

/// Reads the records. The pages of a living run can change meanwhile; the checks notice that, and
/// the read is repeated.
fn records(run: &ForeignRun<'_>, alive: bool) -> Result<Vec<Record>, Error> {
    let mut result = run.records();
    for _ in 1..READS {
        if !alive || result.is_ok() {
            break;
        }
        result = run.records();
    }
    result
}
