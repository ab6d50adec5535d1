//! The store behind all handles: shards, quotas and counters. Time comes from the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::data::Program;
use super::shard::{Live, Nanos, Shard};
use super::{Quota, SessionConfig, SessionEnd, StateError};
use crate::{SessionId, event};

/// Parts with a lock of their own each; a power of two.
const SHARDS: usize = 64;
/// Expired sessions that each creation clears away, so that memory is bounded also when nobody sweeps.
const CLEARED: usize = 2;

type Hook = Arc<dyn Fn(&SessionId, u64, SessionEnd) + Send + Sync>;

/// Where one session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shard: u32,
    pub(super) entry: u32,
    pub(super) generation: u64,
}

/// Whether looking at a session prolongs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Touch,
    Peek,
}

pub(super) struct Store {
    pub(super) config: SessionConfig,
    /// An odd number that differs from run to run.
    seed: u64,
    shards: Vec<Mutex<Shard>>,
    pub(super) programs: Mutex<BTreeMap<Arc<str>, Program>>,
    generations: AtomicU64,
    closed: AtomicBool,
    hooks: RwLock<Vec<Hook>>,
    pub(super) counters: Counters,
}

/// Counters of the whole store. `live` and `bytes` are also what the quotas are checked against.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) live: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    pub(super) created: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) changes: AtomicU64,
    pub(super) missed: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes `asked` out of what the limit leaves.
    pub(super) fn reserve(
        &self,
        used: &AtomicUsize,
        quota: Quota,
        limit: usize,
        asked: usize,
    ) -> Result<(), StateError> {
        Self::take(used, limit, asked).map_err(|usage| self.refuse(quota, limit, usage, asked))
    }

    /// As [`reserve`](Self::reserve), but a refusal says only what is used.
    fn take(used: &AtomicUsize, limit: usize, asked: usize) -> Result<(), usize> {
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |usage| {
            usage.checked_add(asked).filter(|sum| *sum <= limit)
        })
        .map(drop)
    }

    /// Gives bytes back.
    pub(super) fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Checks a count that the caller holds the lock for.
    pub(super) fn check(
        &self,
        quota: Quota,
        limit: usize,
        usage: usize,
        asked: usize,
    ) -> Result<(), StateError> {
        if usage.checked_add(asked).is_some_and(|sum| sum <= limit) {
            return Ok(());
        }
        Err(self.refuse(quota, limit, usage, asked))
    }

    fn refuse(&self, quota: Quota, limit: usize, usage: usize, asked: usize) -> StateError {
        Self::add(&self.refused, 1);
        StateError::Quota {
            quota,
            limit,
            usage,
            asked,
        }
    }
}

impl Store {
    pub(super) fn new(config: SessionConfig) -> Self {
        Self {
            config,
            seed: RandomState::new().hash_one(()) | 1,
            shards: std::iter::repeat_with(Mutex::default)
                .take(SHARDS)
                .collect(),
            programs: Mutex::default(),
            generations: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            hooks: RwLock::default(),
            counters: Counters::default(),
        }
    }

    /// Nothing under these locks runs foreign code, so a panic cannot leave a shard half changed.
    fn lock(&self, shard: u32) -> MutexGuard<'_, Shard> {
        self.shards[shard as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Quick rather than good: a shard that has more sessions than others is only locked more often.
    fn shard_of(&self, id: &SessionId) -> u32 {
        let words = id.as_str().as_bytes().chunks(8);
        let mixed = words.fold(self.seed, |mixed, bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            (mixed.rotate_left(29) ^ u64::from_le_bytes(word)).wrapping_mul(self.seed)
        });
        u32::try_from(mixed >> (u64::BITS - SHARDS.ilog2())).expect("few shards")
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn add_hook(&self, hook: Hook) {
        self.hooks
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(hook);
    }

    /// Creates a session. `None` when there is one already.
    pub(super) fn create(
        &self,
        id: &SessionId,
        ttl: Nanos,
        now: Nanos,
    ) -> Result<Option<Place>, StateError> {
        let limit = self.config.max_sessions;
        let live = &self.counters.live;
        if Counters::take(live, limit, 1).is_err() {
            // Those that have expired do not count; only now are they looked for everywhere.
            self.sweep(now);
            self.counters.reserve(live, Quota::Sessions, limit, 1)?;
        }
        let shard = self.shard_of(id);
        let mut guard = self.lock(shard);
        // Looked at under the lock, which closing takes after it has set the flag: no session is created that nobody would end.
        if self.closed.load(Ordering::SeqCst) {
            live.fetch_sub(1, Ordering::Relaxed);
            return Err(StateError::Closed);
        }
        let mut ended = guard.expired(now, CLEARED);
        if let Some(entry) = guard.place(id) {
            let there = guard.get(entry).expect("the index names live sessions");
            if there.expires() > now {
                live.fetch_sub(1, Ordering::Relaxed);
                drop(guard);
                self.ended(ended, SessionEnd::Expired);
                return Ok(None);
            }
            ended.extend(guard.remove(entry));
        }
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let entry = guard.insert(id.clone(), generation, ttl, now);
        drop(guard);
        Counters::add(&self.counters.created, 1);
        tracing::trace!(target: event::STATE, event = event::SESSION_CREATED, session = %id, generation);
        self.ended(ended, SessionEnd::Expired);
        Ok(Some(Place {
            shard,
            entry,
            generation,
        }))
    }

    /// The session of this id, which counts as an access if asked for.
    pub(super) fn find(&self, id: &SessionId, now: Nanos, access: Access) -> Option<Place> {
        let shard = self.shard_of(id);
        let mut guard = self.lock(shard);
        let entry = guard.place(id)?;
        let live = guard.get_mut(entry).expect("the index names live sessions");
        if live.expires() <= now {
            let ended = guard.remove(entry);
            drop(guard);
            self.ended(ended, SessionEnd::Expired);
            return None;
        }
        if access == Access::Touch {
            live.accessed = live.accessed.max(now);
        }
        let generation = live.generation;
        Some(Place {
            shard,
            entry,
            generation,
        })
    }

    /// Runs `act` on a session under its lock. It must be quick.
    pub(super) fn with<R>(
        &self,
        id: &SessionId,
        place: Place,
        now: Nanos,
        access: Access,
        act: impl FnOnce(&mut Live) -> R,
    ) -> Result<R, StateError> {
        let mut guard = self.lock(place.shard);
        let live = guard.get_mut(place.entry);
        let Some(live) = live.filter(|live| live.generation == place.generation) else {
            drop(guard);
            return Err(self.missing(id, place, now));
        };
        if live.expires() <= now {
            let ended = guard.remove(place.entry);
            drop(guard);
            self.ended(ended, SessionEnd::Expired);
            return Err(self.missing(id, place, now));
        }
        if access == Access::Touch {
            live.accessed = live.accessed.max(now);
        }
        Ok(act(live))
    }

    fn missing(&self, id: &SessionId, place: Place, now: Nanos) -> StateError {
        if self.closed.load(Ordering::SeqCst) {
            return StateError::Closed;
        }
        match self.find(id, now, Access::Peek) {
            Some(current) => StateError::StaleSession {
                id: id.clone(),
                generation: place.generation,
                current: current.generation,
            },
            None => StateError::UnknownSession(id.clone()),
        }
    }

    /// Ends one generation of a session.
    pub(super) fn delete(
        &self,
        id: &SessionId,
        place: Place,
        now: Nanos,
    ) -> Result<(), StateError> {
        self.with(id, place, now, Access::Peek, |_| ())?;
        let ended = {
            let mut guard = self.lock(place.shard);
            let same = guard
                .get(place.entry)
                .is_some_and(|live| live.generation == place.generation);
            same.then(|| guard.remove(place.entry)).flatten()
        };
        if ended.is_none() {
            return Err(self.missing(id, place, now));
        }
        self.ended(ended, SessionEnd::Deleted);
        Ok(())
    }

    pub(super) fn sweep(&self, now: Nanos) -> usize {
        let mut n = 0;
        for shard in 0..SHARDS as u32 {
            let ended = self.lock(shard).expired(now, usize::MAX);
            n += ended.len();
            self.ended(ended, SessionEnd::Expired);
        }
        n
    }

    /// Ends all sessions and refuses new ones.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        for shard in 0..SHARDS as u32 {
            let ended = self.lock(shard).drain();
            self.ended(ended, SessionEnd::Closed);
        }
    }

    /// Up to `limit` sessions from a place on, and the place to go on from.
    pub(super) fn page<T>(
        &self,
        from: (u32, u32),
        limit: usize,
        now: Nanos,
        mut describe: impl FnMut(&Live) -> T,
    ) -> (Vec<T>, Option<(u32, u32)>) {
        let mut found = Vec::new();
        let mut entry = from.1;
        for shard in from.0..SHARDS as u32 {
            let guard = self.lock(shard);
            while let Some((place, live)) = guard.next(entry) {
                if found.len() == limit {
                    return (found, Some((shard, place)));
                }
                if live.expires() > now {
                    found.push(describe(live));
                }
                entry = place + 1;
            }
            entry = 0;
        }
        (found, None)
    }

    /// What follows the end of sessions, after their shard is unlocked.
    fn ended(&self, ended: impl IntoIterator<Item = Live>, why: SessionEnd) {
        for live in ended {
            let counters = &self.counters;
            counters.live.fetch_sub(1, Ordering::Relaxed);
            counters.bytes.fetch_sub(live.bytes, Ordering::Relaxed);
            match why {
                SessionEnd::Expired => Counters::add(&counters.expired, 1),
                SessionEnd::Deleted | SessionEnd::Closed => Counters::add(&counters.deleted, 1),
            }
            if let Some(data) = &live.data {
                data.log.wake();
            }
            tracing::trace!(target: event::STATE, event = event::SESSION_ENDED, session = %live.id, generation = live.generation, ?why);
            let hooks = self
                .hooks
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            for hook in hooks {
                hook(&live.id, live.generation, why);
            }
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_alike_spread_over_all_shards() {
        let mut store = Store::new(SessionConfig::new());
        store.seed = 0x9e37_79b9_7f4a_7c15;
        for shape in [
            "{}",
            "user-{}",
            "tenant-{}-production",
            "{}-a-long-common-ending",
        ] {
            let mut counts = [0; SHARDS];
            for n in 10_000..16_400 {
                let id = shape.replace("{}", &n.to_string()).into();
                counts[store.shard_of(&id) as usize] += 1;
            }
            // A hundred each on average.
            assert!(
                counts.iter().all(|count| (10..500).contains(count)),
                "{shape}: {counts:?}"
            );
        }
    }
}
