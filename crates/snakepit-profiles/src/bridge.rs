//! The search for the worker runtime, the `snakepit_bridge` package.

use std::path::{Path, PathBuf};

use snakepit_core::error::{ErrorCode, StartError};

use crate::{Interpreter, variables};

/// The package's name.
const PACKAGE: &str = "snakepit_bridge";

/// The package, as found for one interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bridge {
    /// The directory to add to the search path. `None` if the interpreter finds the package itself.
    pub(crate) dir: Option<PathBuf>,
    /// The extension module.
    pub(crate) extension: PathBuf,
}

/// Finds the package.
///
/// # Errors
/// [`ErrorCode::NoBridge`] lists the places that were searched.
pub(crate) fn find(
    explicit: Option<&Path>,
    interpreter: &Interpreter,
) -> Result<Bridge, StartError> {
    let from_env = std::env::var_os(variables::BRIDGE).filter(|value| !value.is_empty());
    if let Some(dir) = explicit.map(Path::to_owned).or(from_env.map(PathBuf::from)) {
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        return match extension(&dir, interpreter) {
            Ok(extension) => Ok(Bridge {
                dir: Some(dir),
                extension,
            }),
            Err(reason) => Err(not_found(&[reason], interpreter)),
        };
    }
    let mut tried = Vec::new();
    if let Some(dir) = &interpreter.bridge {
        match extension(dir, interpreter) {
            Ok(extension) => {
                return Ok(Bridge {
                    dir: None,
                    extension,
                });
            }
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
        match extension(&dir, interpreter) {
            Ok(extension) => {
                return Ok(Bridge {
                    dir: Some(dir),
                    extension,
                });
            }
            Err(reason) if !tried.contains(&reason) => tried.push(reason),
            Err(_) => {}
        }
    }
    if tried.is_empty() {
        let executable = interpreter.executable.display();
        tried.push(format!("{executable} cannot import {PACKAGE}"));
    }
    Err(not_found(&tried, interpreter))
}

/// Returns the extension module for the interpreter: the one with the first of its suffixes. A
/// free-threaded interpreter cannot load `.abi3.so`.
fn extension(dir: &Path, interpreter: &Interpreter) -> Result<PathBuf, String> {
    let package = dir.join(PACKAGE);
    let Ok(entries) = package.read_dir() else {
        return Err(format!("there is no {}", package.display()));
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut built: Vec<String> = names
        .filter(|name| name.starts_with("_native.") && name.ends_with(".so"))
        .collect();
    let wanted = interpreter.extension_suffixes.iter();
    let mut wanted = wanted.map(|suffix| format!("_native{suffix}"));
    if let Some(name) = wanted.find(|name| built.contains(name)) {
        return Ok(package.join(name));
    }
    let package = package.display();
    if built.is_empty() {
        return Err(format!("{package} has no built `_native`"));
    }
    built.sort();
    Err(format!(
        "{package} has no `_native` for {}, only {}",
        interpreter.describe(),
        built.join(", ")
    ))
}

fn not_found(tried: &[String], interpreter: &Interpreter) -> StartError {
    let reasons = tried.join("; ");
    let message = format!("the worker runtime `{PACKAGE}` cannot be found: {reasons}");
    let mut error = StartError::new(ErrorCode::NoBridge, message);
    error.help = Some(if interpreter.free_threaded {
        let executable = interpreter.executable.display();
        format!(
            "run `cargo xtask python --free-threaded {executable}` in a checkout, or \
             `{executable} -m pip install snakepit-bridge`"
        )
    } else {
        "run `cargo xtask python` in a checkout, or pip install snakepit-bridge".to_owned()
    });
    error.permanent = true;
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: [&str; 2] = [".cpython-314t-x86_64-linux-gnu.so", ".so"];
    const USUAL: [&str; 3] = [".cpython-311-x86_64-linux-gnu.so", ".abi3.so", ".so"];

    fn interpreter(free_threaded: bool, suffixes: &[&str]) -> Interpreter {
        Interpreter {
            executable: "/usr/bin/python3".into(),
            version: (3, 14, 7),
            implementation: "cpython".to_owned(),
            free_threaded,
            prefix: "/usr".into(),
            bridge: None,
            gil_enabled: !free_threaded,
            platform: "linux-x86_64".to_owned(),
            extension_suffixes: suffixes.iter().map(|&one| one.to_owned()).collect(),
        }
    }

    #[test]
    fn each_interpreter_takes_the_file_that_was_made_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join(PACKAGE);
        std::fs::create_dir(&package).unwrap();
        let (usual, free) = (interpreter(false, &USUAL), interpreter(true, &FREE));
        let find = |of: &Interpreter| find(Some(dir.path()), of);
        let error = find(&usual).unwrap_err();
        assert!(error.message.contains("has no built `_native`"), "{error}");

        std::fs::write(package.join("_native.abi3.so"), "").unwrap();
        assert_eq!(
            find(&usual).unwrap().extension,
            package.join("_native.abi3.so")
        );
        let error = find(&free).unwrap_err();
        assert_eq!(error.code, ErrorCode::NoBridge);
        let words =
            "no `_native` for cpython 3.14.7, free-threaded, without the GIL, only _native.abi3.so";
        assert!(error.message.contains(words), "{error}");
        let help = error.help.unwrap();
        assert!(
            help.contains("cargo xtask python --free-threaded /usr/bin/python3"),
            "{help}"
        );

        let name = format!("_native{}", FREE[0]);
        std::fs::write(package.join(&name), "").unwrap();
        assert_eq!(find(&free).unwrap().extension, package.join(name));
        assert_eq!(
            find(&usual).unwrap().extension,
            package.join("_native.abi3.so")
        );
    }
}
