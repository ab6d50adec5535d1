//! A shard of the sessions: a table, an index by id and an index by expiry. It has no clock.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::SessionEnd;
use super::data::Data;
use super::store::Ending;
use crate::id::SessionId;

/// A moment or a span in nanoseconds; moments count from the creation of the store.
pub(super) type Nanos = u64;

/// A session in the table.
#[derive(Debug)]
pub(super) struct LiveSession {
    pub(super) id: SessionId,
    pub(super) generation: u64,
    pub(super) created: Nanos,
    pub(super) accessed: Nanos,
    pub(super) ttl: Nanos,
    /// Number of calls that use the session now; it does not expire before they end.
    pub(super) holds: u32,
    pub(super) ending: Ending,
    /// Key of the session in the index by expiry: a moment not later than its end.
    due: Nanos,
    /// Bytes counted against the quotas.
    pub(super) bytes: usize,
    /// `None` for a session that has only its id.
    pub(super) data: Option<Box<Data>>,
}

impl LiveSession {
    pub(super) fn new(id: SessionId, generation: u64, ttl: Nanos, now: Nanos) -> Self {
        Self {
            id,
            generation,
            created: now,
            accessed: now,
            ttl,
            holds: 0,
            ending: Arc::default(),
            due: now.saturating_add(ttl),
            bytes: 0,
            data: None,
        }
    }

    /// Returns the moment at which the session expires if nothing else uses it; the largest moment
    /// while it is held.
    pub(super) const fn expires(&self) -> Nanos {
        if self.holds > 0 {
            return Nanos::MAX;
        }
        self.accessed.saturating_add(self.ttl)
    }

    /// Returns the earliest moment at which the session can have expired.
    pub(super) fn may_expire(&self, now: Nanos) -> Nanos {
        let used = if self.holds > 0 { now } else { self.accessed };
        used.saturating_add(self.ttl)
    }

    /// Counts an access.
    pub(super) fn touch(&mut self, now: Nanos) {
        self.accessed = self.accessed.max(now);
    }
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    index: HashMap<SessionId, u32>,
    entries: Vec<Option<LiveSession>>,
    vacant: Vec<u32>,
    due: BTreeSet<(Nanos, u32)>,
}

impl Shard {
    pub(super) fn place(&self, id: &SessionId) -> Option<u32> {
        self.index.get(id).copied()
    }

    pub(super) fn get(&self, place: u32) -> Option<&LiveSession> {
        self.entries.get(place as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut LiveSession> {
        self.entries.get_mut(place as usize)?.as_mut()
    }

    /// Adds a session with an unused id.
    pub(super) fn insert(&mut self, live: LiveSession) -> (u32, &LiveSession) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 sessions")
        });
        self.index.insert(live.id.clone(), place);
        self.due.insert((live.due, place));
        (place, self.entries[place as usize].insert(live))
    }

    pub(super) fn remove(&mut self, place: u32, why: SessionEnd) -> Option<LiveSession> {
        let live = self.entries.get_mut(place as usize)?.take()?;
        self.index.remove(&live.id);
        self.due.remove(&(live.due, place));
        self.vacant.push(place);
        live.ending.set(why).ok();
        Some(live)
    }

    /// Removes up to `limit` sessions that have expired. Sessions used since they were put into the
    /// index are put in again, which happens to each at most once in its time to live.
    pub(super) fn expired(&mut self, now: Nanos, limit: usize) -> Vec<LiveSession> {
        let mut expired = Vec::new();
        while expired.len() < limit
            && let Some(&(due, place)) = self.due.first()
            && due <= now
        {
            let live = self.get_mut(place).expect("the index names live sessions");
            let expires = live.may_expire(now);
            if expires > now {
                live.due = expires;
                self.due.remove(&(due, place));
                self.due.insert((expires, place));
            } else {
                expired.extend(self.remove(place, SessionEnd::Expired));
            }
        }
        expired
    }

    /// Returns the session of this place, or of the first occupied place after it.
    pub(super) fn next(&self, place: u32) -> Option<(u32, &LiveSession)> {
        let rest = self.entries.get(place as usize..)?;
        let (offset, live) = rest
            .iter()
            .enumerate()
            .find_map(|(offset, entry)| Some((offset, entry.as_ref()?)))?;
        Some((place + u32::try_from(offset).expect("places fit"), live))
    }

    /// Removes all sessions.
    pub(super) fn drain(&mut self, why: SessionEnd) -> Vec<LiveSession> {
        let drained = std::mem::take(self).entries.into_iter().flatten();
        drained
            .inspect(|live| {
                let _ = live.ending.set(why);
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeping_looks_at_what_is_due_only() {
        let mut shard = Shard::default();
        let (a, _) = shard.insert(LiveSession::new("a".into(), 1, 10, 0));
        shard.insert(LiveSession::new("b".into(), 2, 20, 0));
        shard.get_mut(a).unwrap().accessed = 9;
        assert!(shard.expired(15, 9).is_empty());
        // `a` was put in again for 19, so it precedes `b`.
        assert_eq!(shard.due.first(), Some(&(19, a)));
        let ids: Vec<_> = shard
            .expired(20, 9)
            .into_iter()
            .map(|live| live.id)
            .collect();
        assert_eq!(ids, ["a".into(), "b".into()]);
        assert!(shard.due.is_empty() && shard.index.is_empty());
    }
}
