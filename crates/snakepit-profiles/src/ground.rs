//! The ground of every profile: the runtime, the run, the working directory, the containment.

use std::path::{Path, PathBuf};

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::worker::Containment;
use snakepit_registry::Containment as Mode;

use crate::output::Log;
use crate::run::Run;

/// Checks for a tokio runtime with timers and I/O, which workers need.
pub(crate) fn check_runtime() -> Result<(), StartError> {
    let refuse = |code, message: String, help: String| {
        let mut error = StartError::new(code, message);
        error.help = Some(help);
        error.permanent = true;
        error
    };
    snakepit_core::runtime::current_runtime()
        .map_err(|error| refuse(error.code, error.to_string(), error.help))?;
    // tokio has no other check: creating a socket panics without an I/O driver.
    let socket = std::panic::catch_unwind(|| drop(tokio::net::UnixDatagram::unbound()));
    socket.map_err(|_| {
        let help = "build the runtime with `enable_all()`".to_owned();
        let message = "the tokio runtime has no I/O".to_owned();
        refuse(ErrorCode::NoRuntime, message, help)
    })
}

/// Returns the error of a runtime that is shutting down.
pub(crate) fn closing() -> StartError {
    StartError::new(ErrorCode::StartFailed, "the host is shutting down")
}

/// Begins a run in `dir`, see [`Run::open`].
pub(crate) async fn open_run(dir: Option<PathBuf>) -> Result<Run, StartError> {
    let opening = tokio::task::spawn_blocking(move || Run::open(dir.as_deref()));
    opening.await.map_err(|_| closing())?
}

/// Starts the thread that logs the output of workers.
pub(crate) fn log(run: &Run) -> Result<Log, StartError> {
    Log::start(run.last_lines().clone()).map_err(no_thread)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
pub(crate) fn no_thread(error: std::io::Error) -> StartError {
    let message = format!("no thread can be started: {error}");
    StartError::new(ErrorCode::StartFailed, message)
}

/// Describes what keeps workers from outliving this process.
pub(crate) fn containment(run: &Run, mode: Mode) -> Containment {
    let mut containment = Containment::default();
    containment.tier = Some(run.containment());
    containment.mode = Some(mode.name());
    containment.degraded = run.degraded();
    containment
}

/// Rejects a mode of containment that does not work here, before anything is started.
pub(crate) async fn check_containment(mode: Mode, dependent: bool) -> Result<(), StartError> {
    if !mode.is_strict() {
        return Ok(());
    }
    let refuse = |reason: String, help: &str| {
        let message = format!("containment `{mode}` does not work: {reason}");
        let mut error = StartError::new(ErrorCode::NoContainment, message);
        error.help = Some(help.to_owned());
        error.permanent = true;
        error
    };
    if !dependent {
        return Err(refuse(
            "workers with `dependent = false` outlive what would contain them".to_owned(),
            "leave one of the two settings out",
        ));
    }
    let probed = tokio::task::spawn_blocking(move || mode.probe()).await;
    probed.map_err(|_| closing())?.map_err(|refusal| {
        refuse(
            refusal.to_string(),
            "choose another mode; `Containment::probe` reports whether one works",
        )
    })
}

/// Returns the absolute path of the workers' directory.
pub(crate) fn working_dir(dir: Option<&Path>) -> Result<PathBuf, StartError> {
    let dir = dir.unwrap_or(Path::new("."));
    let reason = match dir.canonicalize() {
        Ok(dir) if dir.is_dir() => return Ok(dir),
        Ok(_) => "it is not a directory".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!(
        "the working directory {} cannot be used: {reason}",
        dir.display()
    );
    let mut error = StartError::new(ErrorCode::InvalidConfig, message);
    error.help = Some("create it, or set another `working_dir`".to_owned());
    error.permanent = true;
    Err(error)
}
