//! Installed versions of libraries.

use std::collections::BTreeMap;

use snakepit_core::error::{ErrorCode, StartError};

use crate::{Interpreter, Run};

/// Maximum number of distributions in one query.
const MAX_NAMES: usize = 500;

/// First field of the answer.
const MARK: &str = "snakepit-installed";

/// Reads metadata of distributions without importing them.
const SCRIPT: &str = r#"
import os, sys
sys.path[:] = [p for p in sys.path if p]
from importlib import metadata
fields = ["snakepit-installed"]
for name in sys.argv[1:]:
    try:
        version = metadata.version(name)
    except Exception:
        continue
    if version:
        fields += [name, version]
os.write(1, b"\0".join(os.fsencode(f) for f in fields) + b"\0")
"#;

/// Versions of installed distributions, as reported by the interpreter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    versions: BTreeMap<String, String>,
}

impl Installed {
    /// Queries an interpreter for the versions of distributions, in one process. Does not import
    /// them, so that none can enable the GIL or take time. Queries at most 500 names.
    ///
    /// # Errors
    /// [`ErrorCode::NoInterpreter`] if it does not answer, [`ErrorCode::StartFailed`] if it cannot
    /// be recorded in `run`.
    ///
    /// # Cancel safety
    /// Dropping the future ends the interpreter that is being queried.
    pub async fn of<S: AsRef<str>>(
        interpreter: &Interpreter,
        run: &Run,
        distributions: impl IntoIterator<Item = S>,
    ) -> Result<Self, StartError> {
        let names: Vec<String> = distributions
            .into_iter()
            .map(|name| name.as_ref().to_owned())
            .filter(|name| !name.is_empty() && !name.contains('\0'))
            .take(MAX_NAMES)
            .collect();
        let answer = interpreter.answer(run, SCRIPT, &names).await?;
        parse(&answer).ok_or_else(|| {
            let program = interpreter.executable.display();
            let message = format!("{program} does not report which distributions it has");
            StartError::new(ErrorCode::NoInterpreter, message)
        })
    }

    /// Returns the version of a distribution. Case is ignored, and `-`, `_` and `.` are equivalent.
    pub fn version(&self, distribution: &str) -> Option<&str> {
        self.versions.get(&normal(distribution)).map(String::as_str)
    }

    /// Adds a version, as if the interpreter had reported it.
    #[must_use]
    pub fn with(mut self, distribution: &str, version: impl Into<String>) -> Self {
        self.versions.insert(normal(distribution), version.into());
        self
    }
}

/// Normalises a name as package indexes do.
pub(crate) fn normal(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let parts: Vec<&str> = lower
        .split(['-', '_', '.'])
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("-")
}

fn parse(answer: &[u8]) -> Option<Installed> {
    let start = answer
        .windows(MARK.len())
        .rposition(|window| window == MARK.as_bytes())?;
    let text = String::from_utf8_lossy(&answer[start..]);
    let mut fields = text.split('\0').skip(1);
    let mut installed = Installed::default();
    while let (Some(name), Some(version)) = (fields.next(), fields.next()) {
        installed = installed.with(name, version);
    }
    Some(installed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_compared_as_indexes_do() {
        let installed = Installed::default().with("Scikit_Learn", "1.5");
        for name in ["scikit-learn", "SCIKIT.learn", "scikit__learn"] {
            assert_eq!(installed.version(name), Some("1.5"), "{name}");
        }
        assert_eq!(installed.version("scikitlearn"), None);
    }

    #[test]
    fn answers() {
        let noisy = b"hello\nsnakepit-installed\0numpy\x002.1\0PyYAML\x006.0\0";
        let installed = parse(noisy).unwrap();
        assert_eq!(installed.version("pyyaml"), Some("6.0"));
        assert_eq!(parse(b"snakepit-installed\0"), Some(Installed::default()));
        assert_eq!(parse(b"no"), None);
    }

    #[tokio::test]
    async fn an_interpreter_tells_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("site");
        let info = site.join("snakepit_pretend-7.8.dist-info");
        std::fs::create_dir_all(&info).unwrap();
        let metadata = "Metadata-Version: 2.1\nName: snakepit-pretend\nVersion: 7.8\n";
        std::fs::write(info.join("METADATA"), metadata).unwrap();
        // The script stands for an interpreter with this distribution.
        let run = Run::open(Some(&dir.path().join("pit"))).unwrap();
        let mut found = Interpreter::find(&run, None, Path::new(".")).await.unwrap();
        let script = format!(
            "#!/bin/sh\nPYTHONPATH={} exec {} \"$@\"\n",
            site.display(),
            found.executable.display()
        );
        let program = dir.path().join("python");
        std::fs::write(&program, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        found.executable = program;
        let names = ["snakepit_pretend", "no-such-distribution", "", "a\0b"];
        let installed = Installed::of(&found, &run, names).await.unwrap();
        let expected = Installed::default().with("snakepit-pretend", "7.8");
        assert_eq!(installed, expected);

        found.executable = "/bin/false".into();
        let error = Installed::of(&found, &run, names).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::NoInterpreter);
        found.executable = dir.path().join("missing");
        let error = Installed::of(&found, &run, names).await.unwrap_err();
        assert!(error.message.contains("there is no such file"), "{error}");
    }
}
