//! `python [--release] [--free-threaded [PATH]]`: builds the worker runtime into the Python
//! package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::free_threaded::{self, Effort};
use crate::{shell, venv};

/// One file for every CPython >= 3.10 with a GIL.
const ABI3: &str = "_native.abi3.so";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let mut free_threaded = None;
    if let Some(at) = args.iter().position(|arg| arg == "--free-threaded") {
        args.remove(at);
        let named = args.get(at).is_some_and(|arg| !arg.starts_with("--"));
        free_threaded = Some(if named {
            PathBuf::from(args.remove(at))
        } else {
            free_threaded::find(Effort::Obtain).map_err(anyhow::Error::msg)?
        });
    }
    shell::only(&args, &["--release", "--free-threaded [PATH]"])?;
    let release = args.iter().any(|arg| arg == "--release");
    let file = match free_threaded {
        Some(python) => build_free_threaded(release, &python)?,
        None => build(release)?,
    };
    println!(
        "{}",
        file.strip_prefix(shell::root()).unwrap_or(&file).display()
    );
    Ok(())
}

/// Builds the extension module for interpreters with a GIL and returns its path.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    let command = shell::cargo(["build", "--quiet", "--package", "snakepit-native", "--lib"]);
    install(command, release, &target(), ABI3)
}

/// Like [`build`], in the build of all Rust tests: alone, the module would need its dependencies a
/// second time, with other features.
pub(crate) fn build_with_tests() -> Result<PathBuf> {
    let mut command = shell::cargo(["build", "--quiet", "--workspace", "--all-features"]);
    command.args(["--lib", "--bins", "--tests", "--examples"]);
    install(command, false, &target(), ABI3)
}

/// Builds the extension module for one free-threaded interpreter, which cannot load an abi3 file,
/// and returns its path.
pub(crate) fn build_free_threaded(release: bool, python: &Path) -> Result<PathBuf> {
    let suffix = free_threaded::suffix(python)?;
    // A separate directory: in a common one, each build would invalidate the artifacts for the
    // other kind of interpreter.
    let target = target().join("ft");
    let mut command = shell::cargo(["build", "--quiet", "--package", "snakepit-native", "--lib"]);
    command.arg("--no-default-features");
    command.arg("--target-dir").arg(&target);
    command.env("PYO3_PYTHON", python);
    install(command, release, &target, &format!("_native{suffix}"))
}

/// Runs the build and copies the library into the package.
fn install(mut command: Command, release: bool, target: &Path, name: &str) -> Result<PathBuf> {
    if release {
        command.arg("--release");
    }
    shell::run(&mut command)?;

    let built = target.join(if release { "release" } else { "debug" });
    let library = if cfg!(target_os = "macos") {
        "dylib"
    } else {
        "so"
    };
    let built = built.join(format!("libsnakepit_native.{library}"));
    let package = shell::root().join("python/snakepit_bridge");
    let file = package.join(name);
    let bytes = fs::read(&built).with_context(|| format!("{}", built.display()))?;
    compile(&package);
    if fs::read(&file).is_ok_and(|old| old == bytes) {
        return Ok(file);
    }
    // Written aside and renamed: a worker that has mapped the old file keeps it, and no worker ever
    // sees half a file.
    let fresh = package.join(format!("._native.{}.tmp", std::process::id()));
    fs::write(&fresh, bytes).with_context(|| format!("{}", fresh.display()))?;
    fs::rename(&fresh, &file).with_context(|| format!("{}", file.display()))?;
    Ok(file)
}

/// Compiles the package's Python files once. If Python does not write byte code itself, every
/// worker would compile them at its start.
fn compile(package: &Path) {
    let Ok(python) = venv::interpreter() else {
        return;
    };
    // Only saves time: a start without it works the same.
    let _ = Command::new(python)
        .args(["-m", "compileall", "-q"])
        .arg(package)
        .status();
}

/// Returns Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    shell::root().join(named)
}
