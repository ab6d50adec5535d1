//! Ends the processes of one run: by record, by mark and by control group.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::cgroup;
use crate::clock::Deadline;
use crate::error::Error;
use crate::plan::{Evidence, LeftAlone, Plan, Reach, Reason, Target, plan_as_far};
use crate::record::Record;
use crate::run_id::RunId;
use crate::sweep::Killed;
use crate::table::ProcessTable;

/// The result of ending the processes of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) killed: Vec<Killed>,
    pub(crate) left: Vec<LeftAlone>,
    pub(crate) leftover: Vec<i32>,
    pub(crate) gone: usize,
}

/// Kills the processes that carry a mark of these runs.
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

/// Kills the processes in the control groups of a run and removes the groups: of the recorded ones,
/// and of those `beside` our own.
pub(crate) fn end_cgroups(
    run: RunId,
    records: &[Record],
    beside: &[PathBuf],
    deadline: Deadline,
) -> (Vec<Killed>, Vec<i32>) {
    let (mut killed, mut leftover) = (Vec::new(), Vec::new());
    let recorded = records.iter().filter_map(|record| record.cgroup.as_ref());
    for dir in cgroup::of_run(run, recorded.chain(beside)) {
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

/// The facts known about a run, besides its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) records: &'a [Record],
    /// `true` if the recorded process ids can be compared with ours.
    pub(crate) comparable: bool,
    pub(crate) reach: Reach,
    /// Deadline until which a process may be newly forked and not yet recognisable by its
    /// environment.
    pub(crate) birth: Option<Deadline>,
}

/// No records: only the marks count.
pub(crate) const NOTHING: Known<'_> = Known {
    records: &[],
    comparable: true,
    reach: Reach::Dependent,
    birth: None,
};

/// Longest time that a process takes from its fork to its program on a busy machine.
pub(crate) const BIRTH: Duration = Duration::from_millis(200);
const BIRTH_POLL: Duration = Duration::from_millis(2);

/// Plans and kills until no process is found any more, because a process may fork meanwhile.
pub(crate) fn end(
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
        let how = (known.comparable, known.reach);
        let planned =
            planned.and_then(|tagged| plan_as_far(run, known.records, how, &tagged, table));
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
