//! The search for the Python interpreter that runs the workers.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_registry::CommandSpec;

use crate::ask::{Unusable, ask, passed};
use crate::run::Run;
use crate::wrapper::{self, Seen, Start};
use crate::{shadowed, variables};

/// Oldest version that can run the worker runtime.
const OLDEST: (u8, u8) = (3, 10);

/// First field of the answer. Output of a `sitecustomize` may precede it.
const MARK: &str = "snakepit-probe";

/// Queries an interpreter for its properties. Removes the current directory from the path, so that
/// no file of the user can shadow a module. Imports only built-in modules, for speed.
const PROBE: &str = r#"
import _imp, os, sys
sys.path[:] = [p for p in sys.path if p]
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
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
          "%d.%d.%d" % (v[0], v[1], v[2]), sys.implementation.name, "1" if free else "0", sys.prefix, bridge(),
          "1" if gil else "0", "%s-%s" % (sys.platform, os.uname()[4]), "/".join(_imp.extension_suffixes())]
argv, parent = getattr(sys, "orig_argv", [])[1:], os.environ.get("SNAKEPIT_WORKER_HOST_PID", "")
fields += ["1" if len(argv) == 2 and argv[0] == "-c" else "0", parent and ("1" if parent == str(os.getppid()) else "0")]
fields += ["%s=%s" % pair for pair in os.environ.items()]
os.write(1, b"\0".join(os.fsencode(f) for f in fields) + b"\0")
"#;

/// A Python interpreter that answered the probe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interpreter {
    /// The program that starts workers: the interpreter's `sys.executable`, not a shim in front of
    /// it. If the interpreter was found through a script that does more than find it, that script.
    pub executable: PathBuf,
    /// Major, minor and micro version.
    pub version: (u8, u8, u8),
    /// The implementation, for example `cpython`.
    pub implementation: String,
    /// True for a free-threaded build.
    pub free_threaded: bool,
    /// True if its threads take turns. False only for a free-threaded build whose environment does
    /// not enable the GIL. Importing a module that needs the GIL can still enable it later.
    pub gil_enabled: bool,
    /// System and machine, for example `linux-x86_64`.
    pub platform: String,
    /// The `sys.prefix`: the virtual environment, if it is in one.
    pub prefix: PathBuf,
    /// The directory that contains `snakepit_bridge`. `None` if the interpreter cannot import that.
    pub bridge: Option<PathBuf>,
    /// Suffixes of the extension modules that it can import, for example `.abi3.so`.
    pub extension_suffixes: Vec<String>,
}

/// One candidate of the search.
struct Candidate {
    program: PathBuf,
    origin: String,
    /// True if the user named exactly this one: if it fails, the search ends.
    explicit: bool,
}

impl Interpreter {
    /// Finds an interpreter for work in `dir`: `explicit`, `$SNAKEPIT_PYTHON`, the active virtual
    /// environment, `.venv` in `dir` or above it, `python3` on the `PATH`; the first that works.
    /// Candidates are recorded in `run` like workers, so that none is left behind.
    ///
    /// # Errors
    /// [`ErrorCode::NoInterpreter`] lists the candidates and why each failed. An interpreter that
    /// the user named is never replaced by another. [`ErrorCode::StartFailed`] if nothing can be
    /// recorded.
    ///
    /// # Cancel safety
    /// Dropping the future ends the interpreter that is being queried.
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
            match probe(run, &candidate, dir).await {
                Ok(found) => {
                    tracing::debug!(
                        executable = %found.executable.display(),
                        origin = candidate.origin,
                        "found a Python interpreter"
                    );
                    return Ok(found);
                }
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
                Err(unusable) => return Err(unusable.error(|reason| not_found(&[reason]))),
            }
        }
        Err(not_found(&tried))
    }

    /// Runs a script in this interpreter, with `names` as its arguments, and returns its stdout.
    /// Time and output are limited as in the search.
    pub(crate) async fn answer(
        &self,
        run: &Run,
        script: &str,
        names: &[String],
    ) -> Result<Vec<u8>, StartError> {
        let spec = CommandSpec::new(&self.executable).arg("-c").arg(script);
        let spec = names.iter().fold(spec, |spec, name| spec.arg(name));
        let answer = ask(run, spec, Path::new(".")).await;
        let program = self.executable.display();
        let failed = |reason| not_found(&[format!("{program}: {reason}")]);
        answer
            .map(|(stdout, _, _)| stdout)
            .map_err(|unusable| unusable.error(failed))
    }

    /// Returns the extension module that its workers import: an abi3 one, or on a free-threaded
    /// build the one for its version. `bridge` names the directory that contains `snakepit_bridge`,
    /// as in the configuration.
    ///
    /// # Errors
    /// [`ErrorCode::NoBridge`] lists the places that were searched and says how to install it.
    pub fn extension(&self, bridge: Option<&Path>) -> Result<PathBuf, StartError> {
        crate::bridge::find(bridge, self).map(|bridge| bridge.extension)
    }

    /// Describes it in words, for example `cpython 3.14.7, free-threaded, without the GIL`.
    pub fn describe(&self) -> String {
        let kind = match (self.free_threaded, self.gil_enabled) {
            (false, _) => "",
            (true, false) => ", free-threaded, without the GIL",
            (true, true) => ", free-threaded, but with the GIL",
        };
        format!("{} {}{kind}", self.implementation, self.version_text())
    }

    /// Returns the version as text, for example `3.11.7`.
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
        "install Python {}.{} or newer, or name one with the setting `python` or with SNAKEPIT_PYTHON",
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
        program: in_environment(resolve(Path::new(program), dir, &search_path)),
        origin: origin.to_owned(),
        explicit: true,
    };
    if let Some(path) = explicit {
        return vec![named(path.as_os_str(), "given explicitly")];
    }
    if let Some(path) = set(variables::PYTHON) {
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

/// Returns the interpreter of a virtual environment if that is what `program` is.
fn in_environment(program: PathBuf) -> PathBuf {
    if !program.is_dir() {
        return program;
    }
    let names = ["bin/python", "bin/python3"].map(|name| program.join(name));
    let found = names.iter().find(|name| name.exists());
    found.unwrap_or(&names[0]).clone()
}

/// Makes the name of a program absolute. A bare name is searched on the path; a relative path is
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

/// Queries one candidate.
async fn probe(run: &Run, candidate: &Candidate, dir: &Path) -> Result<Interpreter, Unusable> {
    let program = &candidate.program;
    let spec = CommandSpec::new(program).arg("-c").arg(PROBE);
    let (stdout, stderr, end) = ask(run, spec, dir).await?;
    let parsed = parse(&stdout);
    if parsed.is_none()
        && let Some(path) = std::env::var_os("PYTHONPATH")
        && let Some(shadow) = shadowed::find(run, program, shadowed::on(&path, dir)).await
    {
        return Err(Unusable::Shadowed(shadow));
    }
    let parsed = parsed.unwrap_or_else(|| {
        let stderr = String::from_utf8_lossy(&stderr);
        Err(
            match stderr.lines().rev().find(|line| !line.trim().is_empty()) {
                Some(line) => format!("it is not a working Python (it {end}): {}", short(line)),
                None => format!("it is not a working Python (it {end})"),
            },
        )
    });
    let (mut found, seen) = parsed.map_err(Unusable::Candidate)?;
    match wrapper::decide(program, candidate.explicit, &seen, passed()) {
        Ok(Start::Interpreter) => {}
        Ok(Start::AsGiven) => found.executable.clone_from(program),
        Err(reason) => return Err(Unusable::Candidate(reason)),
    }
    Ok(found)
}

/// Shortens a line of foreign output.
fn short(line: &str) -> String {
    const LONGEST: usize = 200;
    let line = line.trim();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Parses the answer. `None` if it is not an answer; an error if the interpreter is too old.
fn parse(stdout: &[u8]) -> Option<Result<(Interpreter, Seen), String>> {
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
    let gil_enabled = fields.next()? == b"1";
    let platform = String::from_utf8_lossy(fields.next()?).into_owned();
    let suffixes = String::from_utf8_lossy(fields.next()?).into_owned();
    let suffixes = suffixes.split('/').filter(|one| !one.is_empty());
    let seen = Seen {
        same_arguments: fields.next() == Some(b"1"),
        direct: fields
            .next()
            .filter(|flag| !flag.is_empty())
            .map(|flag| flag == b"1"),
        environment: fields.filter_map(entry).collect(),
    };
    let found = Interpreter {
        executable,
        version,
        implementation,
        free_threaded,
        gil_enabled,
        platform,
        prefix,
        bridge,
        extension_suffixes: suffixes.map(str::to_owned).collect(),
    };
    Some(Ok((found, seen)))
}

/// Splits an entry of the environment into name and value.
fn entry(bytes: &[u8]) -> Option<(OsString, OsString)> {
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    Some((text(&bytes[..at]), text(&bytes[at + 1..])))
}

#[cfg(test)]
#[path = "interpreter_tests.rs"]
mod tests;
