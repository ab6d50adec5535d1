//! Checks of the records of workers.

use std::path::Path;
use std::time::Duration;

use snakepit_registry::{Error, Registry, RunReport, RunState};
use tokio::time::Instant;

use super::{Check, CheckStatus};

/// Reports the workers and the directories that dead hosts have left behind.
pub(super) fn orphans(dir: &Path) -> Check {
    const NAME: &str = "orphans";
    if matches!(dir.try_exists(), Ok(false)) {
        return Check::ok(NAME, "none: no host has ever run here");
    }
    let runs: Vec<RunReport> = match Registry::inspect(dir) {
        Ok(runs) => runs,
        Err(error) => {
            let help = Some(error.help().to_owned());
            let detail = format!("{error} ({})", error.code());
            return Check::new(NAME, CheckStatus::Failed, detail, help);
        }
    };
    let alive = runs
        .iter()
        .filter(|run| run.state == RunState::Alive)
        .count();
    let orphans: usize = runs.iter().map(|run| run.would_kill.len()).sum();
    let left: usize = runs.iter().map(|run| run.would_leave.len()).sum();
    let mut detail = format!(
        "{orphans} orphans, {left} processes that outlive their host; {alive} hosts alive, {} dead",
        runs.len() - alive
    );
    let bad = runs.iter().find(|run| run.state == RunState::Untrusted);
    if let Some(problem) = bad.and_then(|run| run.problem.as_ref()) {
        let help = Some("find out which program or user created it, and remove it".to_owned());
        let detail = format!("{detail}; {problem}");
        return Check::new(NAME, CheckStatus::Failed, detail, help);
    }
    let help = match (damaged(&runs), orphans) {
        (None, 0) => return Check::ok(NAME, detail),
        (None, _) => "the checks that follow start a host in this directory, which ends them",
        (Some((run, problem)), _) => {
            detail.push_str(&format!("; {problem}"));
            match run.state {
                RunState::Alive => "end the host of this run and start it again, in its own time",
                _ => "the checks that follow start a host in this directory, which cleans up",
            }
        }
    };
    Check::new(NAME, CheckStatus::Warning, detail, Some(help.to_owned()))
}

/// Returns a run whose files are damaged, and the damage; one whose host lives before others.
fn damaged(runs: &[RunReport]) -> Option<(&RunReport, &str)> {
    let damaged = runs
        .iter()
        .filter_map(|run| Some((run, run.problem.as_deref()?)));
    damaged.min_by_key(|(run, _)| run.state != RunState::Alive)
}

/// Time for which another sweep in the data directory is waited for: the budget of a sweep.
const OTHER_SWEEP: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(5);

/// Sweeps, as [`orphans`] promises. The host that serves the checks sweeps in the background, and
/// may end before it has finished.
fn sweep(registry: &Registry) -> Result<(), Error> {
    let started = Instant::now();
    while registry.sweep()?.skipped && started.elapsed() < OTHER_SWEEP {
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Writes, reads back and checks a record. Returns the time that took.
fn write_and_check(registry: &Registry) -> Result<Duration, Error> {
    let started = Instant::now();
    let reservation = registry.reserve("doctor")?;
    registry.validate()?;
    drop(reservation);
    Ok(started.elapsed())
}

/// Sweeps the runs of dead hosts, then writes, reads back and checks a record.
pub(super) fn registry(registry: &Registry) -> Check {
    const NAME: &str = "registry";
    match sweep(registry).and_then(|()| write_and_check(registry)) {
        Ok(took) => Check::ok(
            NAME,
            format!("LMDB, a record written and checked in {took:.1?}"),
        ),
        Err(error) => {
            let help = Some(error.help().to_owned());
            Check::new(NAME, CheckStatus::Failed, error.to_string(), help)
        }
    }
}
