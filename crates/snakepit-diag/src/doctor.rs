//! Checks of the machine on which hosts run. Each check tries the feature itself; it has a status
//! and, if something is wrong, one thing to do.

mod kernel;
mod records;

use std::fmt;
use std::path::Path;

use serde::Serialize;
use snakepit_registry::{Registry, Support};

/// The status of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// Nothing to do.
    Ok,
    /// The feature works, with a drawback.
    Warning,
    /// The feature does not work.
    Failed,
}

/// The result of one check. `Display` lays it out for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Name of the check.
    pub name: &'static str,
    /// Status.
    pub status: CheckStatus,
    /// The facts that were found.
    pub detail: String,
    /// One thing to do. `None` if there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Check {
    /// Creates the result of a check that found no problem.
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Ok, detail, None)
    }

    /// Creates the result of a check.
    pub fn new(
        name: &'static str,
        status: CheckStatus,
        detail: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        Self {
            name,
            status,
            detail: detail.into(),
            help,
        }
    }

    /// Checks the kernel, the limits, and the records that dead hosts have left in a data
    /// directory. Blocks for at most a second or so, and changes nothing.
    pub fn machine(data_dir: &Path) -> Vec<Self> {
        vec![
            kernel::containment(&Support::probe()),
            kernel::strict(),
            kernel::open_files(),
            kernel::reaper(),
            records::orphans(data_dir),
        ]
    }

    /// Sweeps the runs of dead hosts, then writes, reads back and checks a record. Blocks for up to
    /// some seconds.
    pub fn registry(registry: &Registry) -> Self {
        records::registry(registry)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            CheckStatus::Ok => "ok     ",
            CheckStatus::Warning => "warning",
            CheckStatus::Failed => "FAILED ",
        };
        write!(f, "{status}  {:<15} {}", self.name, self.detail)?;
        match &self.help {
            Some(help) => write!(f, "\n         help: {help}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_its_help_another() {
        let check = Check::ok("open files", "the limit is 4096");
        assert_eq!(
            check.to_string(),
            "ok       open files      the limit is 4096"
        );
        let help = Some("raise it".to_owned());
        let check = Check::new("open files", CheckStatus::Failed, "none", help);
        assert!(check.to_string().ends_with("none\n         help: raise it"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_is_looked_at_and_nothing_is_made() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("pit");
        let checks = Check::machine(&dir);
        let names: Vec<_> = checks.iter().map(|check| check.name).collect();
        let expected = [
            "containment",
            "strict modes",
            "open files",
            "orphan reaping",
            "orphans",
        ];
        assert_eq!(names, expected);
        assert!(
            checks
                .iter()
                .all(|check| check.status != CheckStatus::Failed),
            "{checks:?}"
        );
        assert!(!dir.exists());
    }
}
