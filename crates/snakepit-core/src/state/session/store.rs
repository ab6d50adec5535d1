//! The store behind all handles: shards, quotas and counters. The caller passes the time.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use super::counters::Counters;
use super::data::Program;
use super::shard::{LiveSession, Nanos, Shard};
use super::{Quota, SessionConfig, SessionEnd, StateError};
use crate::events::Events;
use crate::id::SessionId;
use crate::value::{Metadata, metadata};

/// Number of parts, each with its own lock; a power of two.
const SHARDS: usize = 64;
/// Expired sessions that each creation removes, so that memory is bounded without sweeps.
const CLEARED: usize = 2;

type Hook = Arc<dyn Fn(&SessionId, u64, SessionEnd) + Send + Sync>;

/// The reason why a session ended; shared by the session and its handles.
pub(super) type Ending = Arc<OnceLock<SessionEnd>>;

/// The place of one generation of a session.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) shard: u32,
    pub(super) entry: u32,
    pub(super) generation: u64,
    ending: Ending,
}

impl Place {
    fn new(shard: u32, entry: u32, live: &LiveSession) -> Self {
        Self {
            shard,
            entry,
            generation: live.generation,
            ending: Arc::clone(&live.ending),
        }
    }
}

/// Effect of an access on the life of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Prolongs the session.
    Touch,
    /// Leaves the session unchanged.
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
    pub(super) events: Events,
    /// The number of sessions was near its limit when it was last checked.
    pub(super) crowded: AtomicBool,
}

impl Store {
    pub(super) fn new(config: SessionConfig, events: Events) -> Self {
        Self {
            config,
            events,
            crowded: AtomicBool::new(false),
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

    /// No foreign code runs under these locks, so a panic cannot leave a shard half changed.
    fn lock(&self, shard: u32) -> MutexGuard<'_, Shard> {
        self.shards[shard as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A fast hash of moderate quality: a shard with more sessions is only locked more often.
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

    /// Creates a session, charged and with its metadata before it is visible. `None` if it exists.
    pub(super) fn create(
        &self,
        id: &SessionId,
        ttl: Nanos,
        metadata: &Metadata,
        now: Nanos,
    ) -> Result<Option<Place>, StateError> {
        let limit = self.config.max_sessions;
        let live = &self.counters.live;
        if Counters::take(live, limit, 1).is_err() {
            // Expired sessions do not count; only at the limit are all of them swept.
            self.sweep(now);
            self.counters.reserve(live, Quota::Sessions, limit, 1)?;
        }
        let shard = self.shard_of(id);
        let mut guard = self.lock(shard);
        let mut ended = guard.expired(now, CLEARED);
        let created = self.create_in(&mut guard, &mut ended, id, ttl, metadata, now);
        let place = created.map(|created| {
            let (entry, live) = created?;
            Some(Place::new(shard, entry, live))
        });
        drop(guard);
        self.ended(ended, SessionEnd::Expired, now);
        match &place {
            Ok(Some(place)) => {
                Counters::add(&self.counters.created, 1);
                self.report_created(id, place);
            }
            _ => drop(live.fetch_sub(1, Ordering::Relaxed)),
        }
        place
    }

    fn create_in<'a>(
        &self,
        shard: &'a mut Shard,
        ended: &mut Vec<LiveSession>,
        id: &SessionId,
        ttl: Nanos,
        metadata: &Metadata,
        now: Nanos,
    ) -> Result<Option<(u32, &'a LiveSession)>, StateError> {
        // Checked under the lock, which closing takes after setting the flag: no session stays
        // behind.
        if self.is_closed() {
            return Err(StateError::Closed);
        }
        if let Some(entry) = shard.place(id) {
            let there = shard.get(entry).expect("the index names live sessions");
            if there.expires() > now {
                return Ok(None);
            }
            ended.extend(shard.remove(entry, SessionEnd::Expired));
        }
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let mut live = LiveSession::new(id.clone(), generation, ttl, now);
        let own = size_of::<LiveSession>() + id.as_str().len() + metadata::bytes(metadata);
        live.charge(self, own, 0)?;
        if !metadata.is_empty() {
            live.data_mut().metadata.clone_from(metadata);
        }
        Ok(Some(shard.insert(live)))
    }

    /// Finds the session of this id; counts as an access if requested.
    pub(super) fn find(&self, id: &SessionId, now: Nanos, access: Access) -> Option<Place> {
        let shard = self.shard_of(id);
        let mut guard = self.lock(shard);
        let entry = guard.place(id)?;
        let live = guard.get_mut(entry).expect("the index names live sessions");
        if live.expires() <= now {
            let ended = guard.remove(entry, SessionEnd::Expired);
            drop(guard);
            self.ended(ended, SessionEnd::Expired, now);
            return None;
        }
        if access == Access::Touch {
            live.touch(now);
        }
        let place = Place::new(shard, entry, live);
        drop(guard);
        self.report_accessed(id, &place, access);
        Some(place)
    }

    /// Runs `act` on a session under its lock. It must be quick.
    pub(super) fn with<R>(
        &self,
        id: &SessionId,
        place: &Place,
        now: Nanos,
        access: Access,
        act: impl FnOnce(&mut LiveSession) -> R,
    ) -> Result<R, StateError> {
        let mut guard = self.lock(place.shard);
        let live = guard.get_mut(place.entry);
        let Some(live) = live.filter(|live| live.generation == place.generation) else {
            drop(guard);
            return Err(self.missing(id, place, now));
        };
        if live.expires() <= now {
            let ended = guard.remove(place.entry, SessionEnd::Expired);
            drop(guard);
            self.ended(ended, SessionEnd::Expired, now);
            return Err(self.missing(id, place, now));
        }
        if access == Access::Touch {
            live.touch(now);
        }
        let result = act(live);
        drop(guard);
        self.report_accessed(id, place, access);
        Ok(result)
    }

    fn missing(&self, id: &SessionId, place: &Place, now: Nanos) -> StateError {
        if self.is_closed() {
            return StateError::Closed;
        }
        if place.ending.get() == Some(&SessionEnd::Expired) {
            return StateError::SessionExpired {
                id: id.clone(),
                generation: place.generation,
            };
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

    /// Ends one generation of a session. Returns `false` if it is over already.
    pub(super) fn delete(
        &self,
        id: &SessionId,
        place: &Place,
        now: Nanos,
    ) -> Result<bool, StateError> {
        if let Err(error) = self.with(id, place, now, Access::Peek, |_| ()) {
            return if error == StateError::Closed {
                Err(error)
            } else {
                Ok(false)
            };
        }
        let ended = {
            let mut guard = self.lock(place.shard);
            let same = guard
                .get(place.entry)
                .is_some_and(|live| live.generation == place.generation);
            same.then(|| guard.remove(place.entry, SessionEnd::Deleted))
                .flatten()
        };
        let there = ended.is_some();
        self.ended(ended, SessionEnd::Deleted, now);
        Ok(there)
    }

    /// Ends one hold on a session, which counts as an access.
    pub(super) fn release(&self, place: &Place, now: Nanos) {
        let mut guard = self.lock(place.shard);
        let live = guard.get_mut(place.entry);
        if let Some(live) = live.filter(|live| live.generation == place.generation) {
            live.touch(now);
            live.holds -= 1;
        }
    }

    pub(super) fn sweep(&self, now: Nanos) -> usize {
        let mut n = 0;
        for shard in 0..SHARDS as u32 {
            let ended = self.lock(shard).expired(now, usize::MAX);
            n += ended.len();
            self.ended(ended, SessionEnd::Expired, now);
        }
        self.report_pruned(n);
        n
    }

    /// Ends all sessions, drops the global programs and rejects new sessions.
    pub(super) fn close(&self, now: Nanos) {
        self.closed.store(true, Ordering::SeqCst);
        for shard in 0..SHARDS as u32 {
            let ended = self.lock(shard).drain(SessionEnd::Closed);
            self.ended(ended, SessionEnd::Closed, now);
        }
        self.drop_programs();
    }

    /// Returns up to `limit` sessions from a place on, and the place to continue from.
    pub(super) fn page<T>(
        &self,
        from: (u32, u32),
        limit: usize,
        now: Nanos,
        mut describe: impl FnMut(&LiveSession) -> T,
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

    /// Completes the end of sessions, after their shard is unlocked.
    fn ended(&self, ended: impl IntoIterator<Item = LiveSession>, why: SessionEnd, now: Nanos) {
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
            self.report_ended(&live, why, now);
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
        let mut store = Store::new(SessionConfig::new(), Events::new());
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
