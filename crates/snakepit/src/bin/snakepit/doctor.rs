//! `snakepit doctor`: checks this machine by using its features.

use std::fs;
use std::path::Path;

use snakepit::diag::{Check, CheckStatus};
use snakepit::profiles::{Interpreter, Run};
use snakepit::{ErrorCode, PoolBuilder, Snakepit};
use tokio::time::Instant;

use crate::cli::DoctorOptions;
use crate::failure::Failure;
use crate::hosts::data_dir;
use crate::output;
use crate::settings;

/// A minimal adapter: the check is whether a worker starts and answers.
const ADAPTER: &str = "\
from snakepit_bridge import tool

@tool
def ping() -> str:
    return 'pong'
";

pub(crate) async fn run(options: &DoctorOptions) -> Result<(), Failure> {
    settings::refuse("doctor")?;
    let dir = data_dir(options.data.data_dir.as_deref());
    let mut checks = Check::machine(&dir);
    match Run::open(Some(&dir)) {
        Err(error) => {
            checks.push(Check::new(
                "data directory",
                CheckStatus::Failed,
                format!("{} ({})", error.message, error.code),
                error.help,
            ));
        }
        Ok(run) => {
            checks.push(Check::ok("data directory", dir.display().to_string()));
            checks.push(Check::registry(run.registry()));
            checks.extend(interpreter(&run, options.python.python.as_deref()).await);
            // Closing removes the run's directory; the next sweep removes the rest.
            let _ = run.close();
            if checks
                .iter()
                .all(|check| check.status != CheckStatus::Failed)
            {
                checks.push(worker(&dir, options.python.python.as_deref()).await);
            }
        }
    }
    if options.json {
        output::document(&serde_json::json!(checks))?;
    } else {
        checks
            .iter()
            .try_for_each(|check| output::block(&check.to_string()))?;
    }
    let failed = checks
        .iter()
        .any(|check| check.status == CheckStatus::Failed);
    if failed { Err(Failure::Checks) } else { Ok(()) }
}

/// Checks the interpreter and its worker runtime.
async fn interpreter(run: &Run, python: Option<&Path>) -> Vec<Check> {
    const NAME: &str = "interpreter";
    let found = match Interpreter::find(run, python, Path::new(".")).await {
        Ok(found) => found,
        Err(error) => {
            return vec![Check::new(
                NAME,
                CheckStatus::Failed,
                error.message,
                error.help,
            )];
        }
    };
    let detail = format!("{} at {}", found.describe(), found.executable.display());
    let mut check = Check::ok(NAME, detail);
    if found.free_threaded && found.gil_enabled {
        check.status = CheckStatus::Warning;
        check.help = Some("remove PYTHON_GIL and -X gil, so that slots run in parallel".to_owned());
    }
    vec![check, extension(&found)]
}

fn extension(interpreter: &Interpreter) -> Check {
    const NAME: &str = "extension";
    match interpreter.extension(None) {
        Ok(file) => Check::ok(NAME, file.display().to_string()),
        Err(error) => Check::new(NAME, CheckStatus::Failed, error.message, error.help),
    }
}

/// Checks a worker of the minimal adapter: runtime, socket, records, and one call.
async fn worker(dir: &Path, python: Option<&Path>) -> Check {
    const NAME: &str = "worker";
    match answers(dir, python).await {
        Ok(detail) => Check::ok(NAME, detail),
        Err((detail, help)) => Check::new(NAME, CheckStatus::Failed, detail, help),
    }
}

async fn answers(dir: &Path, python: Option<&Path>) -> Result<String, (String, Option<String>)> {
    let plain = |error: std::io::Error| {
        let place = std::env::temp_dir();
        let what = format!(
            "no temporary file can be written in {}: {error} ({})",
            place.display(),
            ErrorCode::OutputFailed
        );
        let help = "name a directory that can be written to with TMPDIR";
        (what, Some(help.to_owned()))
    };
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
            format!("killed, but still running: {:?}", report.leftover),
            Some("inspect the process with ps; it may wait for a device".to_owned()),
        )),
        Ok(_) => Ok(format!(
            "started in {ready:.0?}, answered in {took:.0?}, ended in order{turns}"
        )),
    }
}
