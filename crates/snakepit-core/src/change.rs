//! Changes of variables, and how to follow them.

pub(crate) mod log;
mod stream;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::{Value, VariableType, WorkerId};
pub use stream::{ChangeStream, WatchItem};

/// One change of one variable.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// Number of the change within its session, from 1 without gaps.
    pub seq: u64,
    /// Name of the variable.
    pub name: Arc<str>,
    /// What happened.
    pub kind: ChangeKind,
    /// Version of the variable after the change; for a deletion the last one it had.
    pub version: u64,
    /// Type of the variable.
    pub variable: VariableType,
    /// The value after the change; for a deletion the last one it had.
    pub value: Arc<Value>,
    /// Who made the change.
    pub origin: Origin,
}

impl Change {
    /// Bytes of its value: what any encoding of it has at least.
    pub fn value_bytes(&self) -> usize {
        crate::session::payload_bytes(&self.value)
    }
}

/// What happened to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was registered.
    Registered,
    /// It was set.
    Set,
    /// It was deleted.
    Deleted,
}

impl ChangeKind {
    /// Its name: `registered`, `set` or `deleted`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Set => "set",
            Self::Deleted => "deleted",
        }
    }
}

/// Who made a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// This process.
    #[default]
    Host,
    /// A worker.
    Worker(WorkerId),
    /// Another peer, by a name of its own.
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

/// Which changes a watcher wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchFilter {
    names: Option<BTreeSet<String>>,
    without: Option<Origin>,
}

impl WatchFilter {
    /// Those of all variables.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of these variables, whether or not they exist already.
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

/// Where a watcher begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchFrom {
    /// With the next change.
    #[default]
    Now,
    /// With the first change after the one of this number; 0 for all that the session remembers.
    After(u64),
}

/// Some changes, as pulled by [`Session::changes_after`](crate::Session::changes_after).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChangeBatch {
    /// The changes in order.
    pub changes: Vec<Arc<Change>>,
    /// What to ask for next: `after` of the following pull.
    pub next: u64,
    /// Changes that were dropped before they could be read, those that the filter leaves out included. They come before `changes`.
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
