//! A free-threaded CPython: its path, and the suffix of its extension modules.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::shell;

/// The effort to obtain a free-threaded interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Looks for an installed interpreter only.
    Look,
    /// Installs or builds an interpreter if there is none, which may take some minutes.
    Obtain,
}

/// Returns the path of a `python3.14t`.
///
/// # Errors
/// One line with the reason why there is none.
pub(crate) fn find(effort: Effort) -> Result<PathBuf, String> {
    let mut command = Command::new(shell::root().join(".ci/free-threaded-python"));
    match effort {
        Effort::Look => {
            command.arg("--look");
        }
        Effort::Obtain => {
            eprintln!("looking for a free-threaded CPython; making one takes some minutes, once");
        }
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`.ci/free-threaded-python` cannot be started: {error}"))?;
    if !output.status.success() {
        let reasons = String::from_utf8_lossy(&output.stderr);
        let own = |line: &&str| line.starts_with("free-threaded-python: ");
        let reasons: Vec<_> = reasons.lines().filter(own).collect();
        return Err(reasons.join("; "));
    }
    let output = String::from_utf8_lossy(&output.stdout);
    let path = output.lines().last().unwrap_or_default();
    if path.is_empty() {
        return Err("`.ci/free-threaded-python` printed no path".to_owned());
    }
    Ok(PathBuf::from(path))
}

/// Returns the suffix of extension modules for this interpreter, which must be free-threaded.
pub(crate) fn suffix(python: &Path) -> Result<String> {
    let script = "import _imp, sys; print(int('t' in sys.abiflags), _imp.extension_suffixes()[0])";
    let answer = shell::read(Command::new(python).args(["-I", "-c", script]))?;
    let (free, suffix) = answer
        .trim()
        .split_once(' ')
        .with_context(|| format!("{} did not answer the probe", python.display()))?;
    ensure!(
        free == "1",
        "{} is not a free-threaded interpreter\n  help: leave `--free-threaded` out; the usual build serves it",
        python.display()
    );
    Ok(suffix.to_owned())
}
