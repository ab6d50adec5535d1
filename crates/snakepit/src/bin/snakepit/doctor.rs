//! `snakepit doctor`: what this machine offers, found out by doing it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use snakepit::profiles::registry::{Registry, RunReport, RunState, Support, Tier};
use snakepit::profiles::{Interpreter, Run, default_data_dir};
use snakepit::{PoolBuilder, Snakepit};
use tokio::time::Instant;

use crate::cli::DoctorOptions;
use crate::failure::Failure;
use crate::output;

/// The smallest adapter: the check is whether a worker starts and answers.
const ADAPTER: &str = "\
from snakepit_bridge import tool

@tool
def ping() -> str:
    return 'pong'
";

/// Descriptors that a pool of a few dozen workers needs.
const ENOUGH_FILES: u64 = 1024;

/// Time in which an orphan that ends at once is gone.
const ORPHAN: std::time::Duration = std::time::Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, detail, None)
    }

    fn new(
        name: &'static str,
        verdict: Verdict,
        detail: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        Self {
            name,
            verdict,
            detail: detail.into(),
            help,
        }
    }
}

pub(crate) async fn run(options: &DoctorOptions) -> Result<(), Failure> {
    let dir: PathBuf = options.data_dir.clone().unwrap_or_else(default_data_dir);
    let mut checks = vec![
        containment(&Support::probe()),
        strict(),
        open_files(),
        reaper(),
    ];
    checks.push(orphans(&dir));
    match Run::open(Some(&dir)) {
        Err(error) => {
            checks.push(Check::new(
                "data directory",
                Verdict::Failed,
                format!("{} ({})", error.message, error.code),
                error.help,
            ));
        }
        Ok(run) => {
            checks.push(Check::ok("data directory", dir.display().to_string()));
            checks.push(registry(run.registry()));
            checks.extend(interpreter(&run, options.python.as_deref()).await);
            // It removes its own directory; what it cannot remove is the next sweep's.
            let _ = run.close();
            if checks.iter().all(|check| check.verdict != Verdict::Failed) {
                checks.push(worker(&dir, options.python.as_deref()).await);
            }
        }
    }
    if options.json {
        output::document(&serde_json::json!(checks))?;
    } else {
        checks
            .iter()
            .try_for_each(|check| output::block(&describe(check)))?;
    }
    let failed = checks.iter().any(|check| check.verdict == Verdict::Failed);
    if failed { Err(Failure::Checks) } else { Ok(()) }
}

fn describe(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Ok => "ok     ",
        Verdict::Warning => "warning",
        Verdict::Failed => "FAILED ",
    };
    let mut text = format!("{verdict}  {:<15} {}", check.name, check.detail);
    if let Some(help) = &check.help {
        text.push_str("\n         help: ");
        text.push_str(help);
    }
    text
}

/// How workers are kept from outliving their host here.
fn containment(support: &Support) -> Check {
    let layers = [
        ("death pipe", support.death_pipe),
        ("private descriptors", support.private_descriptors),
        ("pidfd", support.pidfd),
        ("pidfs inode", support.pidfs_inode),
        ("group signal", support.group_signal),
        ("parent death signal", support.parent_death_signal),
    ];
    let list = |wanted: bool| {
        let names = layers.iter().filter(|(_, there)| *there == wanted);
        names.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    let (tier, verdict, help) = match support.tier() {
        Tier::Full => ("full", Verdict::Ok, None),
        Tier::Kernel => (
            "kernel",
            Verdict::Ok,
            Some("Linux 6.9 or newer also closes the last races in recognising processes"),
        ),
        Tier::Sweep => (
            "sweep",
            Verdict::Warning,
            Some("this kernel does not end workers with their host; the next start does"),
        ),
    };
    let mut detail = format!("tier {tier}: {}", list(true));
    if tier != "full" {
        detail.push_str(&format!("; missing: {}", list(false)));
    }
    Check::new("containment", verdict, detail, help.map(str::to_owned))
}

/// Modes that also hold what leaves its process group.
fn strict() -> Check {
    let modes = Support::modes();
    let modes = modes.iter().filter(|it| it.mode.is_strict());
    let words: Vec<_> = modes
        .map(|it| match &it.refusal {
            None => format!("{} works", it.mode),
            Some(refusal) => format!("{} does not: {refusal}", it.mode),
        })
        .collect();
    Check::ok("strict modes", words.join("; "))
}

/// Who waits for processes whose parents have ended: this process where they fall to it, the first
/// one of the system as a rule. An orphan that ends at once tries it out.
fn reaper() -> Check {
    const NAME: &str = "orphaned ends";
    if Support::probe().inherits_orphans {
        return Check::ok(
            NAME,
            "they fall to this program, which waits for those of its workers",
        );
    }
    let made = std::process::Command::new("/bin/sh")
        .args(["-c", "sleep 0.05 >/dev/null & echo $!"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output();
    let pid = made.ok().and_then(|made| {
        let text = String::from_utf8(made.stdout).ok()?;
        text.trim().parse::<u32>().ok()
    });
    let Some(pid) = pid else {
        return Check::ok(NAME, "not tried: /bin/sh does not start a process");
    };
    let started = Instant::now();
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    while state().is_some() {
        if started.elapsed() > ORPHAN {
            let help = "start the system with a first process that waits for orphans, such as \
                        `docker run --init`, tini or dumb-init; or make this program the first one";
            let detail = "the first process of this system does not wait for orphans: zombies stay";
            return Check::new(NAME, Verdict::Warning, detail, Some(help.to_owned()));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Check::ok(NAME, "the first process of this system waits for orphans")
}

/// The soft limit of open files: each worker takes six descriptors of its host.
fn open_files() -> Check {
    const NAME: &str = "open files";
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().next());
    match limit.map(str::parse::<u64>) {
        Some(Ok(limit)) if limit < ENOUGH_FILES => Check::new(
            NAME,
            Verdict::Warning,
            format!("the limit is {limit}"),
            Some(format!("raise it: ulimit -n {ENOUGH_FILES}")),
        ),
        Some(Ok(limit)) => Check::ok(NAME, format!("the limit is {limit}")),
        _ => Check::ok(NAME, "no limit is known"),
    }
}

/// What dead hosts have left.
fn orphans(dir: &Path) -> Check {
    const NAME: &str = "orphans";
    if matches!(dir.try_exists(), Ok(false)) {
        return Check::ok(NAME, "none: no host has ever run here");
    }
    let runs: Vec<RunReport> = match Registry::inspect(dir) {
        Ok(runs) => runs,
        Err(error) => {
            let help = Some(error.help().to_owned());
            let detail = format!("{error} ({})", error.code());
            return Check::new(NAME, Verdict::Failed, detail, help);
        }
    };
    let alive = runs
        .iter()
        .filter(|run| run.state == RunState::Alive)
        .count();
    let orphans: usize = runs.iter().map(|run| run.would_kill.len()).sum();
    let left: usize = runs.iter().map(|run| run.would_leave.len()).sum();
    let detail = format!(
        "{orphans} orphans, {left} processes that outlive their host; {alive} hosts alive, {} dead",
        runs.len() - alive
    );
    let bad = runs.iter().find(|run| run.state == RunState::Untrusted);
    if let Some(problem) = bad.and_then(|run| run.problem.as_ref()) {
        let help = Some("find out who has put it there, and remove it".to_owned());
        let detail = format!("{detail}; {problem}");
        return Check::new(NAME, Verdict::Failed, detail, help);
    }
    let help = (orphans > 0).then(|| {
        "the checks that follow start a host in this directory, which ends them".to_owned()
    });
    let verdict = if orphans > 0 {
        Verdict::Warning
    } else {
        Verdict::Ok
    };
    Check::new(NAME, verdict, detail, help)
}

/// Writes, reads back and checks a record.
fn registry(registry: &Registry) -> Check {
    const NAME: &str = "registry";
    let started = Instant::now();
    let written = registry.reserve("doctor").and_then(|reservation| {
        let records = registry.validate()?;
        drop(reservation);
        Ok(records)
    });
    match written {
        Ok(_) => Check::ok(
            NAME,
            format!(
                "LMDB, a record written and checked in {:.1?}",
                started.elapsed()
            ),
        ),
        Err(error) => {
            let help = Some(error.help().to_owned());
            Check::new(NAME, Verdict::Failed, error.to_string(), help)
        }
    }
}

/// The interpreter, and the worker runtime that it takes.
async fn interpreter(run: &Run, python: Option<&Path>) -> Vec<Check> {
    const NAME: &str = "interpreter";
    let found = match Interpreter::find(run, python, Path::new(".")).await {
        Ok(found) => found,
        Err(error) => return vec![Check::new(NAME, Verdict::Failed, error.message, error.help)],
    };
    let detail = format!("{} at {}", found.describe(), found.executable.display());
    let mut check = Check::ok(NAME, detail);
    if found.free_threaded && found.gil_enabled {
        check.verdict = Verdict::Warning;
        check.help = Some("remove PYTHON_GIL and -X gil, so that slots run in parallel".to_owned());
    }
    vec![check, extension(&found)]
}

fn extension(interpreter: &Interpreter) -> Check {
    const NAME: &str = "extension";
    match interpreter.extension(None) {
        Ok(file) => Check::ok(NAME, file.display().to_string()),
        Err(error) => Check::new(NAME, Verdict::Failed, error.message, error.help),
    }
}

/// A worker of the smallest adapter: the runtime, the socket, the records, one call.
async fn worker(dir: &Path, python: Option<&Path>) -> Check {
    const NAME: &str = "worker";
    match answers(dir, python).await {
        Ok(detail) => Check::ok(NAME, detail),
        Err((detail, help)) => Check::new(NAME, Verdict::Failed, detail, help),
    }
}

async fn answers(dir: &Path, python: Option<&Path>) -> Result<String, (String, Option<String>)> {
    let plain = |error: std::io::Error| (error.to_string(), None);
    let home = tempfile::tempdir().map_err(plain)?;
    let file = home.path().join("doctor.py");
    fs::write(&file, ADAPTER).map_err(plain)?;
    let mut pool = PoolBuilder::new("doctor", file.to_string_lossy())
        .workers(1)
        .configure(|pool| pool.restart.max_restarts = 0);
    if let Some(python) = python {
        pool = pool.python(python);
    }
    let started = Instant::now();
    let builder = Snakepit::builder().data_dir(dir).pool(pool);
    let snakepit = builder.start().await.map_err(|error| {
        let report = snakepit::Report::from(&error);
        (report.colour(false).to_string(), None)
    })?;
    let ready = started.elapsed();
    let turns = match snakepit.workers().first().and_then(|one| one.gil_enabled) {
        Some(true) => "; threads of one worker take turns (GIL)",
        Some(false) => "; threads of one worker run in parallel (no GIL)",
        None => "",
    };
    let called = Instant::now();
    let answer = snakepit.execute::<String>("ping", ()).await;
    let took = called.elapsed();
    let report = snakepit.shutdown().await;
    match answer {
        Err(error) => Err((error.to_string(), None)),
        Ok(_) if !report.leftover.is_empty() => Err((
            format!("killed, yet not dead: {:?}", report.leftover),
            Some("look at the process with ps; it may wait for a device".to_owned()),
        )),
        Ok(_) => Ok(format!(
            "started in {ready:.0?}, answered in {took:.0?}, ended in order{turns}"
        )),
    }
}
