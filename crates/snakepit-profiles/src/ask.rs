//! Running an interpreter to query it, with limits of time and output.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_registry::{CommandSpec, Error, Registration, SpawnProblem, Spawned};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::child::describe;
use crate::run::Run;
use crate::shadowed::Shadow;

/// Time in which a candidate must answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time in which a candidate must exit once both outputs are closed.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Maximum number of bytes of output that are read from a candidate.
const MAX_OUTPUT: u64 = 1 << 20;

/// The reason why a candidate gave no answer.
pub(crate) enum Unusable {
    /// The candidate cannot be used, for the reason in this phrase.
    Candidate(String),
    /// No process at all can be started.
    Run(Error),
    /// A file of the user prevents every interpreter from starting.
    Shadowed(Shadow),
}

impl Unusable {
    /// Converts the reason into the caller's error; `text` converts a phrase about the candidate.
    pub(crate) fn error(self, text: impl FnOnce(String) -> StartError) -> StartError {
        match self {
            Self::Candidate(reason) => text(reason),
            Self::Run(error) => not_recorded(&error),
            Self::Shadowed(shadow) => shadow.error(),
        }
    }
}

fn not_recorded(error: &Error) -> StartError {
    let code = error.code();
    let message = format!(
        "no interpreter can be probed, because its process cannot be recorded ({code}): {error}"
    );
    let mut start = StartError::new(ErrorCode::StartFailed, message);
    start.help = Some(error.help().to_owned());
    start
}

/// Returns the environment of the interpreters that are queried.
pub(crate) fn passed() -> impl Iterator<Item = (OsString, OsString)> {
    let dropped = ["PYTHONINSPECT", "PYTHONSTARTUP"];
    std::env::vars_os().filter(move |(name, _)| !dropped.iter().any(|one| name == one))
}

/// Runs a program to its end. Returns stdout, stderr, and a phrase about its exit. The program dies
/// with this process, or when the future is dropped.
pub(crate) async fn ask(
    run: &Run,
    mut spec: CommandSpec,
    dir: &Path,
) -> Result<(Vec<u8>, Vec<u8>, String), Unusable> {
    spec.cwd = Some(dir.to_owned());
    // Signals can stay blocked: the program is short-lived.
    spec.hold_signals = true;
    spec.env = passed().collect();
    let starting = {
        let run = run.clone();
        tokio::task::spawn_blocking(move || run.start("interpreter-probe", &spec))
    };
    let started = match starting.await {
        Ok(started) => started,
        Err(_) => return Err(Unusable::Run(Error::GateClosed)),
    };
    let (registration, spawned) = started.map_err(|error| match error {
        Error::Spawn { problem, .. } => Unusable::Candidate(match problem {
            SpawnProblem::WorkingDir(dir) => {
                format!("the working directory {} does not exist", dir.display())
            }
            SpawnProblem::NotFound => "there is no such file".to_owned(),
            problem => format!("it cannot be run: {problem}"),
        }),
        error => Unusable::Run(error),
    })?;
    let answer = tokio::time::timeout(PROBE_TIMEOUT, output(registration, spawned))
        .await
        .map_err(|_| format!("it did not answer within {} s", PROBE_TIMEOUT.as_secs()))
        .and_then(|answer| answer.map_err(|error| format!("its answer cannot be read: {error}")));
    answer.map_err(Unusable::Candidate)
}

/// Reads stdout and stderr of a candidate and waits for its exit.
async fn output(
    registration: Registration,
    spawned: Spawned,
) -> std::io::Result<(Vec<u8>, Vec<u8>, String)> {
    let pipe =
        |end: Option<OwnedFd>| pipe::Receiver::from_owned_fd(end.expect("both outputs are piped"));
    let (stdout, stderr) = (pipe(spawned.stdout)?, pipe(spawned.stderr)?);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (mut limited_out, mut limited_err) = (stdout.take(MAX_OUTPUT), stderr.take(MAX_OUTPUT));
    tokio::try_join!(
        limited_out.read_to_end(&mut out),
        limited_err.read_to_end(&mut err)
    )?;
    let ended = tokio::task::spawn_blocking(move || {
        let exit = registration.wait(LAST_MOMENT);
        // The row is not waited for; if it stays, the next sweep finds no process for it.
        let _ = registration.release();
        exit.map_or_else(|| "closed its output but did not exit".to_owned(), describe)
    });
    Ok((out, err, ended.await.map_err(std::io::Error::other)?))
}
