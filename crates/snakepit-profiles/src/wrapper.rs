//! Scripts that start an interpreter: when to run the script itself, and when to reject it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::variables::WORKER_PREFIX;

/// The situation that the interpreter behind a program reported to the probe.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// True if its arguments were exactly those given to the program.
    pub(crate) same_arguments: bool,
    /// True if its parent is the process that started the program. `None` if unknown.
    pub(crate) direct: Option<bool>,
    /// The environment.
    pub(crate) environment: BTreeMap<OsString, OsString>,
}

/// The program that starts workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The interpreter itself: the given program only finds it.
    Interpreter,
    /// The given program.
    AsGiven,
}

/// Variables that shells, Python itself and the shims of version managers set.
const OF_SHELLS: [&str; 5] = ["_", "SHLVL", "PWD", "OLDPWD", "LC_CTYPE"];
const OF_MANAGERS: [&str; 3] = ["PYENV", "ASDF", "MISE"];

/// Decides which program starts workers. `explicit` is true if the user named exactly this program.
///
/// # Errors
/// A phrase with the reason why the program cannot start workers.
pub(crate) fn decide(
    program: &Path,
    explicit: bool,
    seen: &Seen,
    given: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Start, String> {
    if !is_script(program) {
        return Ok(Start::Interpreter);
    }
    let shim = program.parent().is_some_and(|dir| dir.ends_with("shims"));
    let named = explicit && !shim;
    if !named && seen.same_arguments && !changes(&seen.environment, given) {
        return Ok(Start::Interpreter);
    }
    match seen.direct {
        Some(true) => Ok(Start::AsGiven),
        Some(false) => Err(
            "it is a script that starts Python as a child; let it end with `exec python \"$@\"`"
                .to_owned(),
        ),
        None => Err(
            "it is a script that does not pass its environment on; a worker needs the variables \
             that its host sets"
                .to_owned(),
        ),
    }
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    std::fs::File::open(program)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == *b"#!")
}

fn of_a_manager(name: &[u8]) -> bool {
    let name = name.strip_prefix(b"_").unwrap_or(name);
    OF_MANAGERS
        .iter()
        .any(|own| name.starts_with(own.as_bytes()))
}

/// Returns true if a script has changed or removed a variable.
fn changes(
    seen: &BTreeMap<OsString, OsString>,
    given: impl IntoIterator<Item = (OsString, OsString)>,
) -> bool {
    let counts = |name: &OsStr| {
        let name = name.as_bytes();
        !OF_SHELLS.iter().any(|own| name == own.as_bytes())
            && !of_a_manager(name)
            && !name.starts_with(WORKER_PREFIX.as_bytes())
    };
    let given: BTreeMap<_, _> = given.into_iter().filter(|(name, _)| counts(name)).collect();
    let extended = |name: &OsStr, old: &OsStr, new: &OsStr| {
        // Shims prepend the directory of their interpreter.
        name == "PATH" && new.as_bytes().ends_with(old.as_bytes())
    };
    let set = seen
        .iter()
        .filter(|(name, _)| counts(name))
        .any(|(name, new)| {
            given
                .get(name)
                .is_none_or(|old| old != new && !extended(name, old, new))
        });
    set || given.keys().any(|name| !seen.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(entries: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        let entries = entries.iter();
        entries
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn a_script_that_changes_something_is_run_as_given() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("python");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let binary = dir.path().join("binary");
        std::fs::write(&binary, "\x7fELF").unwrap();
        let given = variables(&[("PATH", "/bin"), ("HOME", "/h"), ("PWD", "/a")]);
        let decide_for =
            |program: &Path, explicit, seen: &[(&str, &str)], same_arguments, direct| {
                let environment = variables(seen);
                let seen = Seen {
                    same_arguments,
                    direct,
                    environment,
                };
                decide(program, explicit, &seen, given.clone())
            };
        let shell: &[_] = &[
            ("PATH", "/py/bin:/bin"),
            ("HOME", "/h"),
            ("PWD", "/b"),
            ("SHLVL", "1"),
            ("_PYENV_INSTALL_PREFIX", "/x"),
            ("SNAKEPIT_WORKER_COOKIES", "c"),
        ];
        let (sets, removes): (&[_], &[_]) = (
            &[
                ("PATH", "/bin"),
                ("HOME", "/h"),
                ("LD_LIBRARY_PATH", "/lib"),
            ],
            &[("PATH", "/bin")],
        );
        let replaces: &[_] = &[("PATH", "/bin"), ("HOME", "/other")];
        assert_eq!(
            decide_for(&script, false, shell, true, Some(true)),
            Ok(Start::Interpreter)
        );
        for seen in [sets, removes, replaces] {
            assert_eq!(
                decide_for(&script, false, seen, true, Some(true)),
                Ok(Start::AsGiven)
            );
            assert_eq!(
                decide_for(&binary, true, seen, false, None),
                Ok(Start::Interpreter)
            );
            assert!(decide_for(&script, false, seen, true, Some(false)).is_err());
            assert!(decide_for(&script, false, seen, true, None).is_err());
        }
        // Additional arguments, or an explicit choice of the user.
        assert_eq!(
            decide_for(&script, false, shell, false, Some(true)),
            Ok(Start::AsGiven)
        );
        assert_eq!(
            decide_for(&script, true, shell, true, Some(true)),
            Ok(Start::AsGiven)
        );
        let shims = dir.path().join("shims");
        std::fs::create_dir(&shims).unwrap();
        std::fs::rename(&script, shims.join("python")).unwrap();
        let shim = shims.join("python");
        assert_eq!(
            decide_for(&shim, true, shell, true, Some(true)),
            Ok(Start::Interpreter)
        );
    }
}
