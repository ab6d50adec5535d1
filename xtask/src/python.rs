//! `python [--release]`: builds the worker runtime and puts it beside the Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{shell, venv};

pub(crate) fn run(args: &[String]) -> Result<()> {
    shell::only(args, &["--release"])?;
    let file = build(args.iter().any(|arg| arg == "--release"))?;
    println!(
        "{}",
        file.strip_prefix(shell::root()).unwrap_or(&file).display()
    );
    Ok(())
}

/// Builds the extension module and returns where it was put.
pub(crate) fn build(release: bool) -> Result<PathBuf> {
    let mut command = shell::cargo(["build", "--quiet", "--package", "snakepit-native", "--lib"]);
    if release {
        command.arg("--release");
    }
    shell::run(&mut command)?;

    let built = target().join(if release { "release" } else { "debug" });
    let library = if cfg!(target_os = "macos") {
        "dylib"
    } else {
        "so"
    };
    let built = built.join(format!("libsnakepit_native.{library}"));
    let package = shell::root().join("python/snakepit_bridge");
    let file = package.join("_native.abi3.so");
    let bytes = fs::read(&built).with_context(|| format!("{}", built.display()))?;
    compile(&package);
    if fs::read(&file).is_ok_and(|old| old == bytes) {
        return Ok(file);
    }
    // Written aside and renamed: a worker that has the old file mapped keeps it, and none ever sees half a file.
    let fresh = package.join(format!("._native.{}.tmp", std::process::id()));
    fs::write(&fresh, bytes).with_context(|| format!("{}", fresh.display()))?;
    fs::rename(&fresh, &file).with_context(|| format!("{}", file.display()))?;
    Ok(file)
}

/// Compiles the package's Python files once. Where Python writes no byte code by itself, every worker would compile them at its start.
fn compile(package: &Path) {
    let Ok(python) = venv::interpreter() else {
        return;
    };
    // It only saves time: a start without it works the same.
    let _ = Command::new(python)
        .args(["-m", "compileall", "-q"])
        .arg(package)
        .status();
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    shell::root().join(named)
}
