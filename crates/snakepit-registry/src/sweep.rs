//! Deals with the runs of dead hosts. Idempotent: a sweeper that dies on the way leaves a run
//! that the next one finishes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::cgroup;
use crate::clock::Deadline;
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::identity::Scene;
use crate::plan::{Evidence, LeftAlone, Plan, Reason, Target, plan};
use crate::record::Record;
use crate::run_dir::{Access, ForeignRun, lock_sweep, remove_unfinished};
use crate::run_id::RunId;
use crate::store::read_records;
use crate::table::ProcessTable;

/// What a sweep found and did.
#[derive(Clone, Debug, Default, Serialize)]
#[must_use]
pub struct SweepReport {
    /// Another host was sweeping at this moment; nothing was done.
    pub skipped: bool,
    /// The runs, the sweeping host's own one left out.
    pub runs: Vec<SweptRun>,
}

/// What became of one run.
#[derive(Clone, Debug, Serialize)]
pub struct SweptRun {
    /// The run.
    pub run_id: RunId,
    /// What was done.
    pub outcome: Outcome,
    /// Records that it had.
    pub records: usize,
    /// Records whose process was gone already.
    pub gone: usize,
    /// Processes that were killed and are dead.
    pub killed: Vec<Killed>,
    /// Processes that were not touched, and why.
    pub left: Vec<LeftAlone>,
    /// Processes that were killed and did not die in time.
    pub leftover: Vec<i32>,
    /// Where a damaged database was moved to.
    pub quarantined: Option<PathBuf>,
    /// What went wrong, if anything.
    pub problem: Option<String>,
}

/// What was done about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its host lives; nothing was touched.
    Alive,
    /// Nothing of it lives any more; its directory is removed.
    Swept,
    /// It belongs to an earlier boot; its directory is removed, its database was not opened.
    EarlierBoot,
    /// Something of it still lives; its directory is kept.
    Kept,
}

/// A process that was killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Killed {
    /// Process id.
    pub pid: i32,
    /// The worker's id, if it had a row.
    pub worker_id: Option<String>,
    /// How sure it was.
    pub evidence: Evidence,
}

impl SweepReport {
    /// Processes that were killed, in all runs.
    pub fn killed(&self) -> usize {
        self.runs.iter().map(|run| run.killed.len()).sum()
    }
}

impl SweptRun {
    fn new(run_id: RunId, outcome: Outcome) -> Self {
        Self {
            run_id,
            outcome,
            records: 0,
            gone: 0,
            killed: Vec::new(),
            left: Vec::new(),
            leftover: Vec::new(),
            quarantined: None,
            problem: None,
        }
    }

    /// Whether nothing of it is left.
    pub const fn ended(&self) -> bool {
        matches!(self.outcome, Outcome::Swept | Outcome::EarlierBoot)
    }
}

/// What happened to the processes of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) killed: Vec<Killed>,
    pub(crate) left: Vec<LeftAlone>,
    pub(crate) leftover: Vec<i32>,
    gone: usize,
}

/// Kills what carries a cookie of these runs.
pub(crate) fn kill_tagged(
    runs: &[RunId],
    deadline: Deadline,
    table: &dyn ProcessTable,
) -> Result<Tally, Error> {
    let mut all = Tally::default();
    for &run in runs {
        let tally = end(run, NOTHING, deadline, table)?;
        all.killed.extend(tally.killed);
        all.left.extend(tally.left);
        all.leftover.extend(tally.leftover);
    }
    Ok(all)
}

/// Kills what is in the control groups of a run, and removes them.
pub(crate) fn end_cgroups(
    run: RunId,
    records: &[Record],
    deadline: Deadline,
) -> (Vec<Killed>, Vec<i32>) {
    let (mut killed, mut leftover) = (Vec::new(), Vec::new());
    let recorded = records.iter().filter_map(|record| record.cgroup.as_ref());
    for dir in cgroup::of_run(run, recorded) {
        let (found, left) = cgroup::end(&dir, deadline);
        let record = records
            .iter()
            .find(|record| record.cgroup.as_ref() == Some(&dir));
        let worker_id = record.map(|record| record.worker_id.clone());
        let dead = found.into_iter().filter(|pid| !left.contains(pid));
        killed.extend(dead.map(|pid| Killed {
            pid,
            worker_id: worker_id.clone(),
            evidence: Evidence::Cgroup,
        }));
        leftover.extend(left);
    }
    (killed, leftover)
}

/// What is known about a run, besides its name.
#[derive(Clone, Copy, Debug)]
struct Known<'a> {
    records: &'a [Record],
    /// Their process ids can be compared with ours.
    comparable: bool,
    /// Until then a process may be on its way: forked, but not yet recognisable by its environment.
    birth: Option<Deadline>,
}

/// Only the cookies count.
const NOTHING: Known<'_> = Known {
    records: &[],
    comparable: true,
    birth: None,
};

/// How long a process takes at most from its fork to its program, on a busy machine.
const BIRTH: Duration = Duration::from_millis(200);
const BIRTH_POLL: Duration = Duration::from_millis(2);

/// Plans and kills until nothing is found any more: a process may have forked meanwhile.
fn end(
    run: RunId,
    known: Known<'_>,
    deadline: Deadline,
    table: &dyn ProcessTable,
) -> Result<Tally, Error> {
    let mut tally = Tally::default();
    let mut signalled = BTreeSet::new();
    let mut refused = BTreeSet::new();
    let mut first = true;
    loop {
        let planned = table.tagged();
        let planned =
            planned.and_then(|tagged| plan(run, known.records, known.comparable, &tagged, table));
        let Plan {
            mut targets,
            left,
            gone,
        } = planned.map_err(|e| Error::io("read", "/proc", e))?;
        if first {
            tally.gone = gone;
        }
        tally.left = left;
        targets.retain(|target| !refused.contains(&target.held.pid()));
        if targets.is_empty() && known.birth.is_some_and(|birth| !birth.passed()) {
            std::thread::sleep(BIRTH_POLL);
            first = false;
            continue;
        }
        if targets.is_empty() || (deadline.passed() && !first) {
            tally.leftover = targets.iter().map(|target| target.held.pid()).collect();
            break;
        }
        first = false;
        for target in &targets {
            strike(target, &mut tally, &mut signalled, &mut refused);
        }
        for target in targets
            .iter()
            .filter(|target| signalled.contains(&target.held.pid()))
        {
            target.held.wait(deadline.left());
        }
    }
    let reason = Reason::NotPermitted;
    tally.left.extend(refused.into_iter().map(|pid| LeftAlone {
        pid,
        worker_id: None,
        reason,
    }));
    tally
        .killed
        .retain(|killed| !tally.leftover.contains(&killed.pid));
    Ok(tally)
}

/// Verifies a target once more and kills it through the same handle.
fn strike(
    target: &Target,
    tally: &mut Tally,
    signalled: &mut BTreeSet<i32>,
    refused: &mut BTreeSet<i32>,
) {
    let pid = target.held.pid();
    match target.verify() {
        Ok(false) => return,
        Err(_) => {
            refused.insert(pid);
            return;
        }
        Ok(true) => {}
    }
    match target.held.kill(target.scope) {
        Err(_) => {
            refused.insert(pid);
        }
        Ok(()) if signalled.insert(pid) => {
            let (worker_id, evidence) = (target.worker_id.clone(), target.evidence);
            tally.killed.push(Killed {
                pid,
                worker_id,
                evidence,
            });
        }
        Ok(()) => {}
    }
}

/// Sweeps all runs but `own`; looks once more for processes of the runs in `again`.
pub(crate) fn sweep(
    data: &DataDir,
    own: Option<RunId>,
    again: &[RunId],
    here: &Scene,
    budget: Duration,
    table: &dyn ProcessTable,
) -> Result<SweepReport, Error> {
    let deadline = Deadline::after(budget);
    let birth = Deadline::after(BIRTH.min(budget));
    let mut report = SweepReport::default();
    let Some(_lock) = lock_sweep(data)? else {
        report.skipped = true;
        return Ok(report);
    };
    let (runs, unfinished) = data.list()?;
    unfinished.iter().for_each(|path| remove_unfinished(path));
    for &id in runs.iter().filter(|&&id| Some(id) != own) {
        let run = match ForeignRun::open(data, id, Access::Sweep) {
            Ok(Some(run)) => run,
            Ok(None) => continue,
            Err(e) => {
                let problem = Some(e.to_string());
                report.runs.push(SweptRun {
                    problem,
                    ..SweptRun::new(id, Outcome::Kept)
                });
                continue;
            }
        };
        report.runs.push(if run.alive() {
            SweptRun::new(id, Outcome::Alive)
        } else {
            sweep_run(data, run, here, (deadline, birth), table)
        });
    }
    for &id in again.iter().filter(|id| !runs.contains(id)) {
        let tally = end(id, NOTHING, deadline, table)?;
        if !tally.killed.is_empty() || !tally.leftover.is_empty() {
            let mut run = SweptRun::new(id, Outcome::Swept);
            (run.killed, run.left, run.leftover) = (tally.killed, tally.left, tally.leftover);
            report.runs.push(run);
        }
    }
    Ok(report)
}

/// Sweeps one run whose lock is held.
fn sweep_run(
    data: &DataDir,
    run: ForeignRun,
    here: &Scene,
    (deadline, birth): (Deadline, Deadline),
    table: &dyn ProcessTable,
) -> SweptRun {
    let mut report = SweptRun::new(run.id, Outcome::Swept);
    let meta = run.meta();
    if meta
        .as_ref()
        .is_ok_and(|meta| meta.scene.boot_id != here.boot_id)
    {
        report.outcome = Outcome::EarlierBoot;
        if let Err(e) = run.remove() {
            report.problem = Some(e.to_string());
        }
        return report;
    }
    let comparable = meta.as_ref().is_ok_and(|meta| meta.scene.comparable(here));
    // Without the host's words it is unknown which boot the records are from.
    let records = meta
        .and_then(|_| read_records(&run.database()))
        .unwrap_or_else(|e| {
            report.problem = Some(e.to_string());
            match run.quarantine(data) {
                Ok(path) => report.quarantined = Some(path),
                Err(e) => {
                    report.problem = Some(format!(
                        "{}; {e}",
                        report.problem.take().unwrap_or_default()
                    ))
                }
            }
            Vec::new()
        });
    report.records = records.len();
    // A reservation without a process means that the host died while it was starting one.
    let unborn = report.problem.is_some() || records.iter().any(|one| one.identity.is_none());
    let known = Known {
        records: &records,
        comparable,
        birth: unborn.then_some(birth),
    };
    match end(run.id, known, deadline, table) {
        Ok(tally) => {
            report.gone = tally.gone;
            report.killed = tally.killed;
            report.left = tally.left;
            report.leftover = tally.leftover;
        }
        Err(e) => {
            report.problem = Some(e.to_string());
            report.outcome = Outcome::Kept;
            return report;
        }
    }
    let (killed, leftover) = end_cgroups(run.id, &records, deadline);
    report.killed.extend(killed);
    report.leftover.extend(leftover);
    // What cannot be recognised now will not be later; what lives on purpose is still to be seen.
    let lives =
        |left: &LeftAlone| matches!(left.reason, Reason::Independent | Reason::NotPermitted);
    if report.left.iter().any(lives) || !report.leftover.is_empty() {
        report.outcome = Outcome::Kept;
    } else if let Err(e) = run.remove() {
        report.problem = Some(e.to_string());
        report.outcome = Outcome::Kept;
    }
    report
}
