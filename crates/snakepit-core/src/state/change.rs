//! Changes of variables, and the filters of watchers.

pub(crate) mod log;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::id::WorkerId;
use crate::state::VariableType;
use crate::value::Value;
pub use stream::{ChangeStream, WatchItem};

/// A change of a variable.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// Number of the change within its session, from 1 without gaps.
    pub seq: u64,
    /// Name of the variable.
    pub name: Arc<str>,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// Version of the variable after the change; for a deletion its last version.
    pub version: u64,
    /// Type of the variable.
    pub variable: VariableType,
    /// The value after the change; for a deletion the last value.
    pub value: Arc<Value>,
    /// Author of the change.
    pub origin: Origin,
}

impl Change {
    /// Size of the value in bytes: a lower bound of every encoding of it.
    pub fn value_bytes(&self) -> usize {
        crate::value::payload_bytes(&self.value)
    }
}

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The variable was registered.
    Registered,
    /// The variable was set.
    Set,
    /// The variable was deleted.
    Deleted,
}

impl ChangeKind {
    /// Returns the name: `registered`, `set` or `deleted`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Set => "set",
            Self::Deleted => "deleted",
        }
    }
}

/// Author of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// This process.
    #[default]
    Host,
    /// A worker.
    Worker(WorkerId),
    /// Another peer, by a name of its choice.
    Peer(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Worker(worker) => worker.fmt(f),
            Self::Peer(name) => f.write_str(name),
        }
    }
}

/// A choice of changes that a watcher receives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchFilter {
    names: Option<BTreeSet<String>>,
    without: Option<Origin>,
}

impl WatchFilter {
    /// Selects the changes of all variables.
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects the changes of these variables, even if they do not exist yet.
    pub fn names<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self {
            names: Some(names.into_iter().map(Into::into).collect()),
            without: None,
        }
    }

    /// Leaves out the changes made by `origin`.
    #[must_use]
    pub fn without(mut self, origin: Origin) -> Self {
        self.without = Some(origin);
        self
    }

    pub(crate) fn wants(&self, change: &Change) -> bool {
        let named = self
            .names
            .as_ref()
            .is_none_or(|names| names.contains(&*change.name));
        named && self.without.as_ref() != Some(&change.origin)
    }
}

/// The first change that a watcher receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchFrom {
    /// The next change.
    #[default]
    Now,
    /// The first change after the one with this number; with 0, the oldest that the session
    /// remembers.
    After(u64),
}

/// Some changes, as pulled by [`Session::changes_after`](crate::state::Session::changes_after).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChangeBatch {
    /// The changes in order.
    pub changes: Vec<Arc<Change>>,
    /// Position to continue from: the `after` of the next pull.
    pub next: u64,
    /// Number of changes that were dropped before they could be read, including those that the
    /// filter leaves out. They come before `changes`.
    pub missed: u64,
}

impl ChangeBatch {
    pub(crate) const fn none(next: u64) -> Self {
        Self {
            changes: Vec::new(),
            next,
            missed: 0,
        }
    }
}
