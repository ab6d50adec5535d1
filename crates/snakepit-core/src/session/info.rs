//! What is to be known about sessions.

use std::time::Duration;

use serde::Serialize;

use crate::{Metadata, SessionId};

/// One session at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// Unique among all sessions of this store: a session of the same id that is created later has another one.
    pub generation: u64,
    /// Its metadata.
    pub metadata: Metadata,
    /// Time since it was created.
    pub age: Duration,
    /// Time since its last access; zero while calls use it.
    pub idle: Duration,
    /// Calls that use it now. It does not expire before they end.
    pub calls: usize,
    /// Time after the last access at which it ends.
    pub ttl: Duration,
    /// Number of variables.
    pub variables: usize,
    /// Number of programs.
    pub programs: usize,
    /// Bytes counted against the quota.
    pub bytes: usize,
}

/// One page of a list of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions, in no particular order.
    pub sessions: Vec<SessionInfo>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<SessionCursor>,
}

/// A place in the list of sessions. A session that lives through the whole listing is listed exactly once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCursor(u64);

impl SessionCursor {
    /// Shard and entry.
    pub(super) const fn split(self) -> (u32, u32) {
        ((self.0 >> 32) as u32, self.0 as u32)
    }

    pub(super) fn join((shard, entry): (u32, u32)) -> Self {
        Self(u64::from(shard) << 32 | u64::from(entry))
    }

    /// The place as a number, to be kept by a remote peer.
    pub const fn to_raw(self) -> u64 {
        self.0
    }

    /// The place with this number. A number made up leads to some page or an empty one.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

/// Counters of all sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionStats {
    /// Live sessions, expired ones that have not been swept included.
    pub live: u64,
    /// Sessions created.
    pub created: u64,
    /// Sessions that expired.
    pub expired: u64,
    /// Sessions deleted.
    pub deleted: u64,
    /// Bytes of all sessions and global programs, as counted against the quota.
    pub bytes: u64,
    /// Global programs.
    pub global_programs: u64,
    /// Changes of variables, registrations and deletions included.
    pub changes: u64,
    /// Changes dropped before a watcher had read them, counted for each watcher.
    pub missed: u64,
    /// Updates refused because the version was stale.
    pub conflicts: u64,
    /// Requests refused because of a quota.
    pub refused: u64,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionEnd {
    /// Nobody used it for as long as its time to live.
    Expired,
    /// It was deleted.
    Deleted,
    /// The store was closed.
    Closed,
}

/// How [`Session::update`](crate::Session::update) treats the metadata that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetadataUpdate {
    /// New entries are added, entries of the same key replaced, others kept.
    #[default]
    Merge,
    /// Entries that are not given are removed.
    Replace,
}
