//! A file on the search path that shadows a module which Python needs to start.
//!
//! The search takes place after an interpreter has failed. An isolated interpreter, which ignores
//! the user's search path, lists the modules that it needs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_registry::CommandSpec;

use crate::ask::ask;
use crate::run::Run;

/// Prints the first file, in the directories given as arguments, with the name of a module that is
/// loaded here, and that module's own file.
const SCRIPT: &str = r#"
import os, sys
own = {}
for name, module in list(sys.modules.items()):
    file = getattr(module, "__file__", None)
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    if file and origin == file and "." not in name and name != "__main__":
        own[name] = os.path.abspath(file)
for folder in sys.argv[1:]:
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        continue
    for entry in entries:
        name, _, ending = entry.partition(".")
        path = os.path.join(os.path.abspath(folder), entry)
        if not ending and os.path.isfile(os.path.join(path, "__init__.py")):
            path = os.path.join(path, "__init__.py")
        elif ending != "py":
            continue
        if name in own and not (os.path.exists(own[name]) and os.path.samefile(own[name], path)):
            os.write(1, b"\0".join(os.fsencode(one) for one in ("snakepit-shadow", path, own[name])) + b"\0")
            raise SystemExit
"#;

const MARK: &[u8] = b"snakepit-shadow\0";

/// A file, and the file that it shadows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shadow {
    file: PathBuf,
    own: PathBuf,
}

/// Searches the directories that `executable` searches before its own. `None` if there is no such
/// file, or if the interpreter also fails without them.
pub(crate) async fn find(
    run: &Run,
    executable: &Path,
    dirs: impl IntoIterator<Item = PathBuf>,
) -> Option<Shadow> {
    let spec = CommandSpec::new(executable).arg("-I").arg("-c").arg(SCRIPT);
    let spec = dirs.into_iter().fold(spec, |spec, dir| spec.arg(dir));
    let (stdout, _, _) = ask(run, spec, Path::new("/")).await.ok()?;
    parse(&stdout)
}

/// Returns the directories of a search path that is used in `dir`.
pub(crate) fn on(path: &OsStr, dir: &Path) -> Vec<PathBuf> {
    std::env::split_paths(path)
        .map(|entry| dir.join(entry))
        .collect()
}

fn parse(stdout: &[u8]) -> Option<Shadow> {
    let at = stdout.windows(MARK.len()).rposition(|part| part == MARK)?;
    let mut fields = stdout.get(at + MARK.len()..)?.split(|byte| *byte == 0);
    let mut next = || fields.next().map(|bytes| OsStr::from_bytes(bytes).into());
    Some(Shadow {
        file: next()?,
        own: next()?,
    })
}

impl Shadow {
    /// Returns the error for which no worker can be started, with one thing to do.
    pub(crate) fn error(&self) -> StartError {
        let (file, own) = (self.file.display(), self.own.display());
        let message =
            format!("`{file}` is imported in place of `{own}`, which Python needs to start");
        let mut error = StartError::new(ErrorCode::StartFailed, message);
        let package = self.file.ends_with("__init__.py");
        let named = if package {
            self.file.parent()
        } else {
            Some(&*self.file)
        };
        let name = named.and_then(Path::file_name).unwrap_or_default();
        error.help = Some(format!(
            "rename `{}`, or take its directory off the search path (`PYTHONPATH`, `python_path`)",
            name.display()
        ));
        error.permanent = true;
        error
    }
}
