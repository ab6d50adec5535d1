//! Virtual environments with packages from PyPI, kept between the runs of tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Returns the interpreter of a virtual environment with the packages of `requirements`;
/// `name` is the name of its directory.
pub(crate) fn interpreter(requirements: &Path, name: &str) -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let (python, stamp) = (venv.join("bin/python"), venv.join("snakepit-stamp"));
    let base = std::env::var("SNAKEPIT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let wanted = format!("{base}\n{}", fs::read_to_string(requirements).unwrap());
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    run(Command::new(base)
        .args(["-m", "venv", "--clear"])
        .arg(&venv))?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    run(pip.args(["--no-input", "--requirement"]).arg(requirements))?;
    fs::write(&stamp, wanted).unwrap();
    Ok(python)
}

/// Returns the output of a command, also as the error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.map_err(|error| error.to_string())?;
    let printed = [stdout, stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if status.success() {
        Ok(printed)
    } else {
        Err(printed)
    }
}
