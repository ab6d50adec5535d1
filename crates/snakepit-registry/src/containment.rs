//! The modes of reaching the descendants of children.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::shim;

/// The registry's reach for the descendants of its children. Workers that are independent of their
/// host are never contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// The process group of each child. Descendants that leave it are killed by the next sweep.
    #[default]
    Group,
    /// A small process between host and child, to which all descendants of the child are
    /// reparented. It kills them when the child or the host ends.
    Shim,
    /// A shim, and a control group (version 2) for each child that is killed as a whole.
    Cgroup,
    /// A process id namespace for each child. When the host ends, the kernel kills everything in
    /// the namespace.
    PidNamespace,
}

/// The reason a mode does not work here, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{0}")]
pub struct Refusal(pub(crate) String);

/// The error for a text that names no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of group, shim, cgroup and pid_namespace")]
pub struct ContainmentError(String);

impl Containment {
    /// All modes, the weakest first.
    pub const ALL: [Self; 4] = [Self::Group, Self::Shim, Self::Cgroup, Self::PidNamespace];

    /// Returns the name used in settings and reports, for example `pid_namespace`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Shim => "shim",
            Self::Cgroup => "cgroup",
            Self::PidNamespace => "pid_namespace",
        }
    }

    /// Returns `true` if the mode reaches descendants that leave the child's group.
    pub const fn is_strict(self) -> bool {
        !matches!(self, Self::Group)
    }

    /// Tests the mode: starts a shim that sets everything up and exits. Blocks for some
    /// milliseconds, for ten seconds at most.
    ///
    /// # Errors
    /// The mode does not work here; the refusal has the reason.
    pub fn probe(self) -> Result<(), Refusal> {
        if self == Self::Group {
            return Ok(());
        }
        if self == Self::Cgroup {
            cgroup::probe()?;
        }
        shim::probe(self)
    }

    /// Returns one thing to do if the mode does not work.
    pub(crate) const fn help(self) -> &'static str {
        match self {
            Self::Group | Self::Shim => {
                "link this crate into the program itself, or choose containment `group`"
            }
            Self::Cgroup => {
                "run the program in a delegated control group (systemd: Delegate=yes), or choose \
                 containment `shim`"
            }
            Self::PidNamespace => {
                "allow user namespaces for this program, or choose containment `shim`"
            }
        }
    }
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Containment {
    type Err = ContainmentError;

    fn from_str(text: &str) -> Result<Self, ContainmentError> {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| ContainmentError(text.to_owned()))
    }
}
