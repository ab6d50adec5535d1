//! The executable of a command: found before anything is started.

use std::ffi::OsStr;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use snakepit_core::error::{ErrorCode, StartError};

use crate::environment::Environment;

/// Returns the absolute path of a program. A name without a slash is searched on the `PATH` of the
/// workers; a relative path is one in their directory.
pub(super) fn find(
    program: &Path,
    working_dir: &Path,
    environment: &Environment,
) -> Result<PathBuf, StartError> {
    if program.as_os_str().is_empty() {
        let help = "write for example command = [\"node\", \"worker.js\"]";
        return Err(refused("the command of the pool is empty", help));
    }
    if program.components().count() > 1 || program.is_absolute() {
        let path = working_dir.join(program);
        return usable(&path).map(|()| path.clone()).map_err(|reason| {
            let what = format!("the program {} {reason}", path.display());
            refused(
                what,
                "correct the path, or make the file executable (chmod +x)",
            )
        });
    }
    let name = program.display();
    let path = environment.get(OsStr::new("PATH"));
    let dirs: Vec<PathBuf> = path.map_or_else(Vec::new, |it| std::env::split_paths(it).collect());
    let candidates = dirs.iter().map(|dir| working_dir.join(dir).join(program));
    let mut unusable = None;
    for path in candidates.filter(|path| path.exists()) {
        match usable(&path) {
            Ok(()) => return Ok(path),
            Err(reason) => {
                unusable.get_or_insert_with(|| format!("the program {} {reason}", path.display()));
            }
        }
    }
    Err(match unusable {
        Some(what) => refused(what, "make the file executable (chmod +x)"),
        None => refused(
            format!("the program `{name}` is not on the PATH"),
            "install it, or name its path",
        ),
    })
}

/// Checks that a file can be executed.
fn usable(path: &Path) -> Result<(), &'static str> {
    match std::fs::metadata(path) {
        Err(_) => Err("does not exist"),
        Ok(file) if file.is_dir() => Err("is a directory"),
        Ok(_) if access(path, AccessFlags::X_OK).is_err() => Err("is not executable"),
        Ok(_) => Ok(()),
    }
}

fn refused(message: impl Display, help: &str) -> StartError {
    let mut error = StartError::new(ErrorCode::InvalidConfig, message.to_string());
    error.help = Some(help.to_owned());
    error.permanent = true;
    error
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_is_found_or_the_error_names_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        std::fs::create_dir(dir.join("bin")).unwrap();
        for (name, mode) in [("good", 0o700), ("bad", 0o600)] {
            let path = dir.join("bin").join(name);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let environment = Environment::from([("PATH".into(), "bin:/nowhere".into())]);
        let find = |program: &str| find(Path::new(program), dir, &environment);
        for program in ["good", "bin/good", "./bin/good"] {
            let found = find(program).unwrap();
            assert!(
                found.is_absolute() && found.ends_with("bin/good"),
                "{found:?}"
            );
        }
        for (program, reason) in [
            ("", "is empty"),
            ("nothing", "`nothing` is not on the PATH"),
            ("bin/nothing", "does not exist"),
            ("./bin", "is a directory"),
            ("bin/../bin", "is a directory"),
        ] {
            let error = find(program).unwrap_err();
            assert!(error.message.contains(reason), "{program}: {error}");
            assert!(error.permanent && error.help.is_some());
        }
        // Nothing is forbidden to root except what no one may execute.
        for program in ["bad", "bin/bad"] {
            assert!(
                find(program)
                    .unwrap_err()
                    .message
                    .contains("is not executable")
            );
        }
    }
}
