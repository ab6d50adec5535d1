//! Which Python runs the workers.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use snakepit_core::{ErrorCode, StartError};
use snakepit_registry::{CommandSpec, Error, Registration, SpawnProblem, Spawned};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::child::describe;
use crate::run::Run;

/// Time that one candidate has to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time to end once both outputs are closed.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Bytes of output that are read of one candidate.
const MAX_OUTPUT: u64 = 1 << 20;

/// Oldest version that can run the worker runtime.
const OLDEST: (u8, u8) = (3, 10);

/// First field of the answer: what a `sitecustomize` prints may come before it.
const MARK: &str = "snakepit-probe";

/// Asks an interpreter what it is. The current directory is taken off the path, so that no file
/// of the user can shadow a module; nothing beyond built-in modules is imported, for speed.
const PROBE: &str = r#"
import os, sys
sys.path[:] = [p for p in sys.path if p]
def bridge():
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec("snakepit_bridge", None)
        except Exception:
            continue
        if spec is not None and spec.origin:
            return os.path.dirname(os.path.dirname(os.path.abspath(spec.origin)))
    return ""
v = sys.version_info
free = "t" in getattr(sys, "abiflags", "")
fields = ["snakepit-probe", os.path.abspath(sys.executable) if sys.executable else "",
          "%d.%d.%d" % (v[0], v[1], v[2]), sys.implementation.name, "1" if free else "0", sys.prefix, bridge()]
os.write(1, b"\0".join(os.fsencode(f) for f in fields) + b"\0")
"#;

/// A Python interpreter that answered the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interpreter {
    /// Its `sys.executable`: the program itself, not a shim or a wrapper in front of it.
    pub executable: PathBuf,
    /// Its version.
    pub version: (u8, u8, u8),
    /// Its implementation, for example `cpython`.
    pub implementation: String,
    /// It is a free-threaded build.
    pub free_threaded: bool,
    /// Its `sys.prefix`: the virtual environment, if it is in one.
    pub prefix: PathBuf,
    /// The directory that holds `snakepit_bridge`, when the interpreter can import that.
    pub bridge: Option<PathBuf>,
}

/// One place to look at.
struct Candidate {
    program: PathBuf,
    origin: String,
    /// Somebody asked for exactly this one: when it fails, the search ends.
    explicit: bool,
}

impl Interpreter {
    /// Finds an interpreter for work in `dir`: `explicit`, `$SNAKEPIT_PYTHON`, the active virtual
    /// environment, `.venv` in `dir` or above it, `python3` on the `PATH`; the first that works.
    /// Those that are asked are recorded in `run` like workers, so that none is left behind.
    ///
    /// # Errors
    /// [`ErrorCode::NoInterpreter`] lists what was tried and why each failed. An interpreter that
    /// was asked for by name is never replaced by another. [`ErrorCode::StartFailed`] when nothing
    /// can be recorded.
    ///
    /// # Cancel safety
    /// Dropping the future ends the interpreter that is being asked.
    pub async fn find(run: &Run, explicit: Option<&Path>, dir: &Path) -> Result<Self, StartError> {
        Self::find_with(run, explicit, dir, |name| std::env::var_os(name)).await
    }

    async fn find_with(
        run: &Run,
        explicit: Option<&Path>,
        dir: &Path,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, StartError> {
        let mut tried = Vec::new();
        for candidate in candidates(explicit, dir, &env) {
            match probe(run, &candidate.program, dir).await {
                Ok(found) => {
                    tracing::debug!(
                        executable = %found.executable.display(),
                        origin = candidate.origin,
                        "found a Python interpreter"
                    );
                    return Ok(found);
                }
                Err(Unusable::Run(error)) => return Err(not_recorded(&error)),
                Err(Unusable::Candidate(reason)) => {
                    let origin = &candidate.origin;
                    tried.push(format!(
                        "{} ({origin}): {reason}",
                        candidate.program.display()
                    ));
                    if candidate.explicit {
                        break;
                    }
                }
            }
        }
        Err(not_found(&tried))
    }

    /// The version as text, for example `3.11.7`.
    pub fn version_text(&self) -> String {
        let (major, minor, micro) = self.version;
        format!("{major}.{minor}.{micro}")
    }
}

fn not_found(tried: &[String]) -> StartError {
    let message = match tried {
        [] => "no Python interpreter was found: there is no `python3` on the PATH".to_owned(),
        [one] => format!("no usable Python interpreter: {one}"),
        several => format!("no usable Python interpreter; tried {}", several.join("; ")),
    };
    let mut error = StartError::new(ErrorCode::NoInterpreter, message);
    error.help = Some(format!(
        "install Python {}.{} or newer, or name one with `--python` or SNAKEPIT_PYTHON",
        OLDEST.0, OLDEST.1
    ));
    error.permanent = true;
    error
}

fn candidates(
    explicit: Option<&Path>,
    dir: &Path,
    env: &impl Fn(&str) -> Option<OsString>,
) -> Vec<Candidate> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let search_path = set("PATH").unwrap_or_default();
    let named = |program: &OsStr, origin: &str| Candidate {
        program: resolve(Path::new(program), dir, &search_path),
        origin: origin.to_owned(),
        explicit: true,
    };
    if let Some(path) = explicit {
        return vec![named(path.as_os_str(), "given explicitly")];
    }
    if let Some(path) = set("SNAKEPIT_PYTHON") {
        return vec![named(&path, "from SNAKEPIT_PYTHON")];
    }
    let mut list = Vec::new();
    let found = |program: PathBuf, origin: &str| Candidate {
        program,
        origin: origin.to_owned(),
        explicit: false,
    };
    if let Some(venv) = set("VIRTUAL_ENV") {
        list.push(found(
            Path::new(&venv).join("bin/python"),
            "from VIRTUAL_ENV",
        ));
    }
    for parent in dir.ancestors() {
        let program = parent.join(".venv/bin/python");
        if program.exists() {
            list.push(found(program, "a .venv of the working directory"));
            break;
        }
    }
    for parent in std::env::split_paths(&search_path).filter(|path| path.is_absolute()) {
        let program = parent.join("python3");
        if program.exists() {
            list.push(found(program, "python3 on the PATH"));
        }
    }
    list
}

/// Makes a program's name absolute: a bare name is looked up on the path, a relative path is
/// relative to `dir`.
fn resolve(program: &Path, dir: &Path, search_path: &OsStr) -> PathBuf {
    if program.is_absolute() {
        return program.to_owned();
    }
    if !program.as_os_str().as_bytes().contains(&b'/') {
        let on_path = std::env::split_paths(search_path)
            .map(|parent| parent.join(program))
            .find(|candidate| candidate.is_absolute() && candidate.is_file());
        if let Some(found) = on_path {
            return found;
        }
    }
    let joined = dir.join(program);
    std::path::absolute(&joined).unwrap_or(joined)
}

/// Why a candidate gave no answer.
enum Unusable {
    /// A phrase that says why it cannot be used.
    Candidate(String),
    /// Nothing can be started, whatever it is.
    Run(Error),
}

fn not_recorded(error: &Error) -> StartError {
    let code = error.code();
    let message =
        format!("no interpreter can be asked, for it cannot be recorded ({code}): {error}");
    let mut start = StartError::new(ErrorCode::StartFailed, message);
    start.help = Some(error.help().to_owned());
    start
}

/// Runs one candidate. It dies with this process, or when the future is dropped.
async fn probe(run: &Run, program: &Path, dir: &Path) -> Result<Interpreter, Unusable> {
    let mut spec = CommandSpec::new(program).arg("-c").arg(PROBE);
    spec.cwd = Some(dir.to_owned());
    let dropped = ["PYTHONINSPECT", "PYTHONSTARTUP"];
    let passed = std::env::vars_os().filter(|(name, _)| !dropped.iter().any(|one| name == one));
    spec.env = passed.collect();
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
    let (stdout, stderr, end) = answer.map_err(Unusable::Candidate)?;
    let parsed = parse(&stdout).unwrap_or_else(|| {
        let stderr = String::from_utf8_lossy(&stderr);
        Err(
            match stderr.lines().rev().find(|line| !line.trim().is_empty()) {
                Some(line) => format!("it is not a working Python (it {end}): {}", short(line)),
                None => format!("it is not a working Python (it {end})"),
            },
        )
    });
    parsed.map_err(Unusable::Candidate)
}

/// A line of foreign output, as far as it is of use.
fn short(line: &str) -> String {
    const LONGEST: usize = 200;
    let line = line.trim();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Both outputs and the end of a candidate.
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
        // Nobody waits for a row; if it stays, the next sweep finds nothing behind it.
        let _ = registration.release();
        exit.map_or_else(|| "closed its output and went on".to_owned(), describe)
    });
    Ok((out, err, ended.await.map_err(std::io::Error::other)?))
}

/// Reads the answer; `None` when it is not one, an error when the interpreter is too old.
fn parse(stdout: &[u8]) -> Option<Result<Interpreter, String>> {
    let start = stdout
        .windows(MARK.len())
        .rposition(|window| window == MARK.as_bytes())?;
    let mut fields = stdout[start..].split(|byte| *byte == 0).skip(1);
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let executable = path(fields.next()?);
    let version_text = std::str::from_utf8(fields.next()?).ok()?;
    let implementation = String::from_utf8_lossy(fields.next()?).into_owned();
    let free_threaded = fields.next()? == b"1";
    let prefix = path(fields.next()?);
    let bridge = Some(path(fields.next()?)).filter(|path| !path.as_os_str().is_empty());
    let mut numbers = version_text.split('.').map(|part| part.parse::<u8>().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    if (version.0, version.1) < OLDEST {
        let (major, minor) = OLDEST;
        return Some(Err(format!(
            "it is Python {version_text}, {major}.{minor} or newer is needed"
        )));
    }
    if !executable.is_absolute() {
        return Some(Err(
            "it does not know its own path (`sys.executable` is empty)".to_owned(),
        ));
    }
    Some(Ok(Interpreter {
        executable,
        version,
        implementation,
        free_threaded,
        prefix,
        bridge,
    }))
}

#[cfg(test)]
#[path = "interpreter_tests.rs"]
mod tests;
