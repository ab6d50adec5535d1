//! Shows what a data directory says, and what a sweep would do. Changes nothing.

use serde::Serialize;

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::foreign_run::{Access, ForeignRun};
use crate::identity::{Scene, Verdict};
use crate::lost;
use crate::plan::{Evidence, LeftAlone, Target, plan};
use crate::record::{ProcessState, Record};
use crate::run_dir::RunMeta;
use crate::run_id::RunId;
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
    /// Something of it cannot be opened or is not trusted; nothing of it counts, and no sweep
    /// touches it.
    Untrusted,
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
    /// Whether its process still is the recorded one and lives; `None` when that cannot be told.
    pub lives: Option<bool>,
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
        match ForeignRun::open(data, id, Access::Look) {
            Ok(Some(run)) => reports.push(report(&run, here, &tagged, table)),
            Ok(None) => {}
            // One that is bad does not hide the others.
            Err(e) => reports.push(RunReport::bad(id, &e)),
        }
    }
    let known = |id| reports.iter().any(|report| report.run_id == id);
    for id in lost::runs(data, here, &tagged, known) {
        reports.push(without_directory(id, &tagged, table)?);
    }
    Ok(reports)
}

/// What is left of a run whose directory somebody has removed.
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
        Verdict::Ours | Verdict::OursByReducedRule => Some(true),
        Verdict::Stranger => Some(false),
        Verdict::Unknown => None,
    }
}

/// The pages of a living run can change while they are read; the checks notice that.
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
