//! Ends the runs of dead hosts. Idempotent: if a sweeper dies half-way, the next one finishes the
//! run.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Deadline;
use crate::data_dir::DataDir;
use crate::ending::{BIRTH, Known, NOTHING, end, end_cgroups};
use crate::error::Error;
use crate::foreign_run::{Access, ForeignRun, lock_sweep, remove_unfinished};
use crate::identity::Scene;
use crate::lost;
use crate::plan::{Evidence, LeftAlone, Reach, Reason};
use crate::run_id::RunId;
use crate::table::ProcessTable;

/// The result of a sweep.
#[derive(Clone, Debug, Default, Serialize)]
#[must_use]
pub struct SweepReport {
    /// `true` if another host was sweeping at this moment; nothing was done.
    pub skipped: bool,
    /// The runs that were examined, without the sweeping host's own run.
    pub runs: Vec<SweptRun>,
}

/// The result for one run.
#[derive(Clone, Debug, Serialize)]
pub struct SweptRun {
    /// The run.
    pub run_id: RunId,
    /// The action taken.
    pub outcome: Outcome,
    /// Number of records in the run's database.
    pub records: usize,
    /// Number of records whose process was gone already.
    pub gone: usize,
    /// Processes that were killed and are confirmed dead.
    pub killed: Vec<Killed>,
    /// Processes that were not signalled, each with the reason.
    pub left: Vec<LeftAlone>,
    /// Processes that were killed and did not die in time.
    pub leftover: Vec<i32>,
    /// The new place of a damaged database.
    pub quarantined: Option<PathBuf>,
    /// The first problem, if there was one.
    pub problem: Option<String>,
}

/// The action taken for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The host lives; nothing was touched.
    Alive,
    /// No process of the run lives any more; its directory is removed.
    Swept,
    /// The run belongs to an earlier boot; its directory is removed and its database was not
    /// opened.
    EarlierBoot,
    /// A process of the run still lives; its directory is kept.
    Kept,
}

/// A process that was killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Killed {
    /// Process id.
    pub pid: i32,
    /// The worker's id, if it had a row.
    pub worker_id: Option<String>,
    /// The evidence on which it was killed.
    pub evidence: Evidence,
}

impl SweepReport {
    /// Returns the number of processes killed in all runs.
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

    /// Returns `true` if nothing of the run is left.
    pub const fn ended(&self) -> bool {
        matches!(self.outcome, Outcome::Swept | Outcome::EarlierBoot)
    }
}

/// The parameters of a sweep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    /// The run of this process, which is skipped.
    pub(crate) own: Option<RunId>,
    /// Runs swept earlier, whose processes are searched for once more.
    pub(crate) again: &'a [RunId],
    pub(crate) budget: Duration,
    pub(crate) reach: Reach,
}

/// Sweeps all runs.
pub(crate) fn sweep(
    data: &DataDir,
    order: Order<'_>,
    here: &Scene,
    table: &dyn ProcessTable,
) -> Result<SweepReport, Error> {
    let Order {
        own,
        again,
        budget,
        reach,
    } = order;
    let deadline = Deadline::after(budget);
    let birth = Deadline::after(BIRTH.min(budget));
    let mut report = SweepReport::default();
    let Some(_lock) = lock_sweep(data)? else {
        report.skipped = true;
        return Ok(report);
    };
    let (runs, unfinished) = data.list()?;
    for name in &unfinished {
        remove_unfinished(data, name);
    }
    let tagged = table.tagged().map_err(|e| Error::io("read", "/proc", e))?;
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
        report.runs.push(if run.alive(here, &tagged) {
            SweptRun::new(id, Outcome::Alive)
        } else {
            sweep_run(data, run, here, (deadline, birth, reach), table)
        });
    }
    let known = |id| runs.contains(&id) || Some(id) == own || again.contains(&id);
    let lost = lost::runs(data, here, &tagged, known);
    let again = again.iter().filter(|id| !runs.contains(id));
    for id in again.copied().chain(lost) {
        report
            .runs
            .extend(sweep_without_directory(id, deadline, reach, table)?);
    }
    Ok(report)
}

/// Sweeps the processes of a run that has no directory. `None` if there are none.
fn sweep_without_directory(
    id: RunId,
    deadline: Deadline,
    reach: Reach,
    table: &dyn ProcessTable,
) -> Result<Option<SweptRun>, Error> {
    let known = Known { reach, ..NOTHING };
    let tally = end(id, known, deadline, table)?;
    let (killed, leftover) = end_cgroups(id, &[], deadline);
    let mut run = SweptRun::new(id, Outcome::Swept);
    (run.killed, run.left, run.leftover) = (tally.killed, tally.left, tally.leftover);
    run.killed.extend(killed);
    run.leftover.extend(leftover);
    if !run.left.is_empty() || !run.leftover.is_empty() {
        run.outcome = Outcome::Kept;
    }
    let nothing = run.killed.is_empty() && run.left.is_empty() && run.leftover.is_empty();
    Ok((!nothing).then_some(run))
}

/// Sweeps one run whose lock is held by this process.
fn sweep_run(
    data: &DataDir,
    run: ForeignRun<'_>,
    here: &Scene,
    (deadline, birth, reach): (Deadline, Deadline, Reach),
    table: &dyn ProcessTable,
) -> SweptRun {
    let mut report = SweptRun::new(run.id, Outcome::Swept);
    let meta = run.meta().cloned();
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
    // Without the host's metadata it is unknown which boot the records are from.
    let records = meta.and_then(|_| run.records());
    if let Err(e) = &records
        && e.is_distrust()
    {
        report.problem = Some(e.to_string());
        report.outcome = Outcome::Kept;
        return report;
    }
    let records = records.unwrap_or_else(|e| {
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
        reach,
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
    // A process that cannot be recognised now will not be recognised later. A run is kept only for
    // processes that live on purpose or could not be signalled, so that they stay visible.
    let lives =
        |left: &LeftAlone| matches!(left.reason, Reason::Independent | Reason::NotPermitted);
    if report.left.iter().any(lives) || !report.leftover.is_empty() {
        report.outcome = Outcome::Kept;
        return report;
    }
    if let Err(e) = run.keep_recordings(data) {
        report.problem = Some(e.to_string());
    }
    if let Err(e) = run.remove() {
        report.problem = Some(e.to_string());
        report.outcome = Outcome::Kept;
    }
    report
}
