//! Descriptions and counters of sessions.

use std::time::Duration;

use serde::Serialize;

use crate::id::SessionId;
use crate::value::Metadata;

/// The description of one session at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Id of the session.
    pub id: SessionId,
    /// Generation, unique among all sessions of this store: a later session of the same id has
    /// another one.
    pub generation: u64,
    /// Metadata of the session.
    pub metadata: Metadata,
    /// Time since the session was created.
    pub age: Duration,
    /// Time since the last access; zero while calls use the session.
    pub idle: Duration,
    /// Number of calls that use the session now. It does not expire before they end.
    pub calls: usize,
    /// Time after the last access after which the session ends.
    pub ttl: Duration,
    /// Number of variables.
    pub variables: usize,
    /// Number of programs.
    pub programs: usize,
    /// Bytes counted against the quota.
    pub bytes: usize,
}

/// A page of the list of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions, in no particular order.
    pub sessions: Vec<SessionInfo>,
    /// Start of the next page. `None` after the last one.
    pub next: Option<SessionCursor>,
}

/// A place in the list of sessions. A session that exists during the whole listing is listed
/// exactly once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCursor(u64);

impl SessionCursor {
    /// Splits the place into shard and entry.
    pub(super) const fn split(self) -> (u32, u32) {
        ((self.0 >> 32) as u32, self.0 as u32)
    }

    pub(super) fn join((shard, entry): (u32, u32)) -> Self {
        Self(u64::from(shard) << 32 | u64::from(entry))
    }

    /// Returns the place as a number, for a remote peer to keep.
    pub const fn to_raw(self) -> u64 {
        self.0
    }

    /// Returns the place with this number. An invented number gives some page or an empty one.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

/// Counters of all sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionStats {
    /// Live sessions, including expired ones that have not been swept.
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
    /// Changes of variables, including registrations and deletions.
    pub changes: u64,
    /// Changes dropped before a watcher had read them, counted for each watcher.
    pub missed: u64,
    /// Updates rejected because the version was stale.
    pub conflicts: u64,
    /// Requests rejected because of a quota.
    pub refused: u64,
}

/// The reason why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionEnd {
    /// The session was not used for its time to live.
    Expired,
    /// The session was deleted.
    Deleted,
    /// The store was closed.
    Closed,
}

/// The way in which [`Session::update`](crate::state::Session::update) treats existing metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetadataUpdate {
    /// New entries are added, entries with the same key replaced, others kept.
    #[default]
    Merge,
    /// Entries that are not given are removed.
    Replace,
}
