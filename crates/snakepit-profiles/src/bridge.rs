//! Where the worker runtime, the `snakepit_bridge` package, is.

use std::path::{Path, PathBuf};

use snakepit_core::{ErrorCode, StartError};

use crate::Interpreter;

/// The package's name.
const PACKAGE: &str = "snakepit_bridge";

/// Finds the directory to put on the search path; `None` when the interpreter finds the package
/// by itself.
///
/// # Errors
/// [`ErrorCode::NoBridge`] says where it was looked for.
pub(crate) fn find(
    explicit: Option<&Path>,
    interpreter: &Interpreter,
) -> Result<Option<PathBuf>, StartError> {
    let from_env = std::env::var_os("SNAKEPIT_BRIDGE").filter(|value| !value.is_empty());
    if let Some(dir) = explicit.map(Path::to_owned).or(from_env.map(PathBuf::from)) {
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        return match check(&dir) {
            Ok(()) => Ok(Some(dir)),
            Err(reason) => Err(not_found(&[reason])),
        };
    }
    let mut tried = Vec::new();
    if let Some(dir) = &interpreter.bridge {
        match check(dir) {
            Ok(()) => return Ok(None),
            Err(reason) => tried.push(reason),
        }
    }
    let mut places = Vec::new();
    if let Ok(program) = std::env::current_exe() {
        places.extend(
            program
                .ancestors()
                .skip(1)
                .map(|parent| parent.join("python")),
        );
    }
    places.push(PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../python"
    )));
    for dir in places {
        if !dir.join(PACKAGE).is_dir() {
            continue;
        }
        match check(&dir) {
            Ok(()) => return Ok(Some(dir)),
            Err(reason) if !tried.contains(&reason) => tried.push(reason),
            Err(_) => {}
        }
    }
    if tried.is_empty() {
        let executable = interpreter.executable.display();
        tried.push(format!("{executable} cannot import {PACKAGE}"));
    }
    Err(not_found(&tried))
}

/// The package must be there with its compiled part.
fn check(dir: &Path) -> Result<(), String> {
    let package = dir.join(PACKAGE);
    let Ok(entries) = package.read_dir() else {
        return Err(format!("there is no {}", package.display()));
    };
    let built = entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("_native") && name.ends_with(".so")
    });
    if built {
        Ok(())
    } else {
        Err(format!("{} has no built `_native`", package.display()))
    }
}

fn not_found(tried: &[String]) -> StartError {
    let reasons = tried.join("; ");
    let message = format!("the worker runtime `{PACKAGE}` cannot be found: {reasons}");
    let mut error = StartError::new(ErrorCode::NoBridge, message);
    error.help =
        Some("run `cargo xtask python` in a checkout, or pip install snakepit-bridge".into());
    error.permanent = true;
    error
}
