//! The interpreter, and the virtual environments with the tools for the Python tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Number of attempts of an installation: package indexes have bad minutes.
const TRIES: u32 = 3;

/// Returns the interpreter to test with: `SNAKEPIT_PYTHON`, else the first CPython >= 3.10 on the
/// path.
///
/// The path is the interpreter's own `sys.executable`, since `python3` may be a shim.
pub(crate) fn interpreter() -> Result<PathBuf> {
    let explicit = std::env::var_os("SNAKEPIT_PYTHON").map(PathBuf::from);
    let names = [
        "python3",
        "python3.14",
        "python3.13",
        "python3.12",
        "python3.11",
        "python3.10",
    ];
    let candidates = match &explicit {
        Some(path) => vec![path.clone()],
        None => names.iter().map(PathBuf::from).collect(),
    };
    for candidate in &candidates {
        if let Some(executable) = ask(candidate) {
            return Ok(executable);
        }
    }
    bail!(
        "no CPython >= 3.10 found\n  tried: {}\n  help: install one, or name it in SNAKEPIT_PYTHON",
        candidates
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(", ")
    )
}

fn ask(candidate: &Path) -> Option<PathBuf> {
    let script = "import sys; sys.version_info >= (3, 10) or sys.exit(1); print(sys.executable)";
    let output = Command::new(candidate)
        .args(["-I", "-c", script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

/// Returns the interpreter of the environment with all tools, based on the usual interpreter.
/// Creates or updates the environment if it does not match the list.
pub(crate) fn ensure() -> Result<PathBuf> {
    make(&interpreter()?, ".venv", "python/requirements-lint.txt")
}

/// Returns the interpreter of the environment for the tests only, based on a free-threaded
/// interpreter.
pub(crate) fn ensure_free_threaded(base: &Path) -> Result<PathBuf> {
    make(base, ".venv-ft", "python/requirements-test.txt")
}

/// Creates the environment `name`, or updates it if it does not match the list of requirements.
/// Returns its interpreter.
fn make(base: &Path, name: &str, list: &str) -> Result<PathBuf> {
    let root = shell::root();
    let requirements = root.join(list);
    let venv = root.join(name);
    let python = venv.join("bin/python");
    let stamp = venv.join("snakepit-stamp");
    let mut wanted = base.display().to_string();
    for list in ["python/requirements-test.txt", list] {
        wanted.push('\n');
        wanted.push_str(&fs::read_to_string(root.join(list)).with_context(|| list.to_owned())?);
    }
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    shell::run(
        Command::new(base)
            .args(["-m", "venv", "--clear"])
            .arg(&venv),
    )?;
    let mut last = None;
    for _ in 0..TRIES {
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ]);
        match shell::run(pip.arg("--requirement").arg(&requirements)) {
            Ok(()) => {
                fs::write(&stamp, wanted)?;
                return Ok(python);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("at least one try failed")).context("the test tools cannot be installed")
}
