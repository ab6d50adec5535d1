//! `snakepit orphans`: lists or ends the processes that dead hosts have left behind.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use snakepit::profiles::default_data_dir;
use snakepit::profiles::registry::{
    Error, LeftAlone, Outcome, ProcessState, Reach, Reason, Registry, RunReport, RunState,
    SweepReport, WorkerReport,
};
use snakepit::{ErrorCode, Printable};

use crate::cli::OrphansOptions;
use crate::failure::Failure;
use crate::output;

/// Time for cleaning up after dead runs.
const BUDGET: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &OrphansOptions) -> Result<(), Failure> {
    let dir: PathBuf = options
        .data
        .data_dir
        .clone()
        .unwrap_or_else(default_data_dir);
    if matches!(dir.try_exists(), Ok(false)) {
        // No program has ever run here.
        return if options.json {
            output::line("[]")
        } else {
            output::line("no runs")
        };
    }
    if options.kill {
        let reach = if options.independent {
            Reach::Independent
        } else {
            Reach::Leftovers
        };
        let report = Registry::end_orphans(&dir, BUDGET, reach).map_err(|error| refused(&error))?;
        show_sweep(&report, options.json)?;
        let mut runs = report.runs.iter();
        let clean = runs.all(|run| {
            let bad = run.outcome == Outcome::Kept && run.problem.is_some();
            run.leftover.is_empty() && !bad
        });
        return left_over(clean && !report.skipped);
    }
    let runs = Registry::inspect(&dir).map_err(|error| refused(&error))?;
    if options.json {
        output::document(&serde_json::json!(runs))?;
    } else if runs.is_empty() {
        output::line("no runs")?;
    } else {
        runs.iter()
            .try_for_each(|run| output::block(&describe(run)))?;
    }
    let clean = |run: &RunReport| run.would_kill.is_empty() && run.state != RunState::Untrusted;
    left_over(runs.iter().all(clean))
}

/// Converts the result into the exit status, for scripts.
const fn left_over(clean: bool) -> Result<(), Failure> {
    if clean { Ok(()) } else { Err(Failure::Checks) }
}

fn refused(error: &Error) -> Failure {
    Failure::usage(ErrorCode::DataDir, error.to_string(), error.help())
}

/// Describes a run on one line, followed by a line for each worker.
fn describe(run: &RunReport) -> String {
    let state = match run.state {
        RunState::Alive => "alive",
        RunState::Dead => "dead",
        RunState::EarlierBoot => "dead, from an earlier boot",
        RunState::OtherNamespace => "dead, from another pid namespace",
        RunState::Damaged => "dead, its records are damaged",
        RunState::Untrusted => "not trusted, and left alone",
    };
    let mut text = format!("run {}  {state}", run.run_id);
    for worker in &run.workers {
        let pid = worker
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let tie = if worker.dependent {
            ""
        } else {
            "  (outlives its host)"
        };
        let _ = write!(
            text,
            "\n  worker {}  pid {pid}  {}{tie}",
            Printable(&worker.worker_id),
            state_of(worker)
        );
    }
    for orphan in &run.would_kill {
        let name = Printable(orphan.worker_id.as_deref().unwrap_or("no record"));
        let _ = write!(
            text,
            "\n  orphan pid {}  ({name}): `snakepit orphans --kill` ends it",
            orphan.pid
        );
    }
    for left in &run.would_leave {
        let _ = write!(text, "\n  {}", describe_left(left));
    }
    if let Some(problem) = &run.problem {
        let _ = write!(text, "\n  problem: {}", Printable(problem));
    }
    text
}

/// Describes the state of a worker.
const fn state_of(worker: &WorkerReport) -> &'static str {
    match (worker.lives, worker.state) {
        (Some(false), _) => "gone",
        (_, ProcessState::Reserved) => "not started",
        (_, ProcessState::Spawned) => "starting",
        (_, ProcessState::Ready) => "ready",
        (_, ProcessState::Stopping) => "stopping",
    }
}

/// Describes a process that is left alone, the reason, and what can be done about it.
fn describe_left(left: &LeftAlone) -> String {
    let name = Printable(left.worker_id.as_deref().unwrap_or("no record"));
    let why = match left.reason {
        Reason::Independent => "outlives its host; `snakepit orphans --kill --independent` ends it",
        Reason::Unknown => "cannot be identified; inspect it with ps",
        Reason::Untouchable => "is this program or the first process of the system",
        Reason::NotPermitted => "belongs to another user, who may end it",
    };
    format!("pid {}  ({name}) is left alone: it {why}", left.pid)
}

fn show_sweep(report: &SweepReport, json: bool) -> Result<(), Failure> {
    if json {
        return output::document(&serde_json::json!(report));
    }
    if report.skipped {
        return output::line("another program is sweeping at this moment; try again");
    }
    let mut killed = 0;
    for run in &report.runs {
        for process in &run.killed {
            killed += 1;
            let name = process.worker_id.as_deref().unwrap_or("no record");
            output::line(&format!(
                "ended pid {} ({name}) of run {}",
                process.pid, run.run_id
            ))?;
        }
        for pid in &run.leftover {
            output::line(&format!(
                "pid {pid} of run {} was killed and has not died yet",
                run.run_id
            ))?;
        }
        for left in &run.left {
            output::line(&format!("run {}: {}", run.run_id, describe_left(left)))?;
        }
        if let Some(problem) = run.problem.as_ref().filter(|_| run.quarantined.is_none()) {
            let left = match run.outcome {
                Outcome::Kept => " is left as it is",
                _ => "",
            };
            output::line(&format!("run {}{left}: {problem}", run.run_id))?;
        }
        if let Some(file) = &run.quarantined {
            output::line(&format!(
                "damaged records of run {} are kept in {}",
                run.run_id,
                show(file)
            ))?;
        }
    }
    if report.unfinished > 0 {
        output::line(&format!(
            "{} directories of dead hosts without processes are left for the next sweep",
            report.unfinished
        ))?;
    }
    output::line(&format!(
        "{killed} orphan{} ended",
        if killed == 1 { "" } else { "s" }
    ))
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
