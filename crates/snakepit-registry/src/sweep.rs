//! Ends the runs of dead hosts. Idempotent: if a sweeper dies half-way, the next one finishes the
//! run.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::cgroup;
use crate::clock::Deadline;
use crate::data_dir::DataDir;
use crate::ending::{BIRTH, Known, NOTHING, Tally, end, end_cgroups};
use crate::error::Error;
use crate::foreign_run::{Access, ForeignRun, lock_sweep, remove_unfinished};
use crate::identity::Scene;
use crate::lost;
use crate::plan::{Evidence, LeftAlone, Reach, Reason};
use crate::run_id::RunId;
use crate::table::{ProcessTable, Tagged};

/// The result of a sweep.
#[derive(Clone, Debug, Default, Serialize)]
#[must_use]
pub struct SweepReport {
    /// `true` if another host was sweeping at this moment; nothing was done.
    pub skipped: bool,
    /// The runs that were examined, without the sweeping host's own run.
    pub runs: Vec<SweptRun>,
    /// Number of runs of dead hosts for which there was no time. No process of theirs was seen.
    pub unfinished: usize,
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

/// The processes and control groups after the hosts of all runs to be swept were found dead.
struct Surroundings {
    tagged: Vec<Tagged>,
    groups: Vec<PathBuf>,
    /// Deadline until which a process of these hosts may not be recognisable yet.
    birth: Deadline,
    /// `true` if the processes were read after that deadline.
    settled: bool,
}

impl Surroundings {
    fn read(birth: Deadline, table: &dyn ProcessTable) -> Result<Self, Error> {
        Ok(Self {
            settled: birth.passed(),
            tagged: table.tagged().map_err(|e| Error::io("read", "/proc", e))?,
            groups: cgroup::beside(),
            birth,
        })
    }

    fn has(&self, run: RunId) -> bool {
        self.tagged.iter().any(|process| process.is_in(run))
    }

    /// Returns `true` if a run has no process. One that is `unborn` may have been started just
    /// before its host died, and is waited for.
    fn has_none(&mut self, run: RunId, unborn: bool, table: &dyn ProcessTable) -> bool {
        if unborn && !self.settled {
            std::thread::sleep(self.birth.left());
            // Without a look, each run has its own.
            let Ok(later) = Self::read(self.birth, table) else {
                return false;
            };
            *self = later;
        }
        !self.has(run)
    }
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
    let mut report = SweepReport::default();
    let Some(_lock) = lock_sweep(data)? else {
        report.skipped = true;
        return Ok(report);
    };
    let (runs, unfinished) = data.list()?;
    for name in &unfinished {
        remove_unfinished(data, name);
    }
    let bad = |id, e: &Error| SweptRun {
        problem: Some(e.to_string()),
        ..SweptRun::new(id, Outcome::Kept)
    };
    let tagged = table.tagged().map_err(|e| Error::io("read", "/proc", e))?;
    let mut dead = Vec::new();
    for &id in runs.iter().filter(|&&id| Some(id) != own) {
        match ForeignRun::open(data, id, Access::Sweep) {
            Ok(Some(run)) if run.alive(here, &tagged) => {
                report.runs.push(SweptRun::new(id, Outcome::Alive));
            }
            Ok(Some(_)) => dead.push(id),
            Ok(None) => {}
            Err(e) => report.runs.push(bad(id, &e)),
        }
    }
    // Their hosts start no more processes, so one look serves all runs that have none.
    let birth = Deadline::after(BIRTH.min(budget));
    let mut around = Surroundings::read(birth, table)?;
    dead.sort_by_cached_key(|id| !around.has(*id));
    for (at, &id) in dead.iter().enumerate() {
        // There may be very many directories without processes.
        if deadline.passed() && !around.has(id) {
            report.unfinished = dead.len() - at;
            break;
        }
        match ForeignRun::open(data, id, Access::Sweep) {
            Ok(Some(run)) => {
                let order = (deadline, reach);
                let swept = sweep_run(data, run, here, order, &mut around, table);
                report.runs.push(swept);
            }
            Ok(None) => {}
            Err(e) => report.runs.push(bad(id, &e)),
        }
    }
    report.runs.sort_by_key(|run| run.run_id);
    let known = |id| runs.contains(&id) || Some(id) == own || again.contains(&id);
    let lost = lost::runs(data, here, &around.tagged, known);
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
    let (killed, leftover) = end_cgroups(id, &[], &cgroup::beside(), deadline);
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
    (deadline, reach): (Deadline, Reach),
    around: &mut Surroundings,
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
    let unreadable = records.is_err();
    let records = records.unwrap_or_else(|e| {
        match run.quarantine(data) {
            Ok(None) => {}
            Ok(kept) => (report.quarantined, report.problem) = (kept, Some(e.to_string())),
            Err(kept) => report.problem = Some(format!("{e}; {kept}")),
        }
        Vec::new()
    });
    report.records = records.len();
    // A reservation without a process means that the host died while it was starting one.
    let unborn = unreadable || records.iter().any(|one| one.identity.is_none());
    let known = Known {
        records: &records,
        comparable,
        reach,
        birth: unborn.then_some(around.birth),
    };
    let ended = match records.is_empty() && around.has_none(run.id, unborn, table) {
        true => Ok(Tally::default()),
        false => end(run.id, known, deadline, table),
    };
    match ended {
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
    let (killed, leftover) = end_cgroups(run.id, &records, &around.groups, deadline);
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
