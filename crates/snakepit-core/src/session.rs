//! Sessions: state of callers that outlives workers.

mod config;
mod data;
mod error;
mod handle;
mod info;
mod program;
mod shard;
mod store;
mod variables;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::{ConfigError, Metadata, SessionId, Value, metadata, names};
pub use config::{SessionConfig, SessionOptions};
pub(crate) use data::flat_bytes;
pub use error::{Quota, StateError};
pub use handle::Session;
pub use info::{MetadataUpdate, SessionCursor, SessionEnd, SessionInfo, SessionPage, SessionStats};
use shard::Nanos;
use store::{Access, Place, Store};

/// All sessions of a host. Cheap to clone; every method may be called from any thread and returns without waiting.
///
/// A session ends by itself when nobody has used it for its time to live; from that moment on no reader sees it.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// The birth of the store.
    epoch: Instant,
}

impl Inner {
    /// The one place where sessions look at the clock.
    fn now(&self) -> Nanos {
        nanos(Instant::now().saturating_duration_since(self.epoch))
    }
}

fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

impl Sessions {
    /// An empty store.
    ///
    /// # Errors
    /// A setting that is out of range.
    pub fn new(config: SessionConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let (store, epoch) = (Store::new(config), Instant::now());
        Ok(Self {
            inner: Arc::new(Inner { store, epoch }),
        })
    }

    /// The settings.
    pub fn config(&self) -> &SessionConfig {
        &self.inner.store.config
    }

    fn session(&self, id: SessionId, place: Place) -> Session {
        Session::new(Arc::clone(&self.inner), id, place)
    }

    /// Creates a session.
    ///
    /// # Errors
    /// [`StateError::SessionExists`], [`StateError::Quota`], [`StateError::Invalid`] id or time to live, [`StateError::Metadata`].
    pub fn create(
        &self,
        id: impl Into<SessionId>,
        options: SessionOptions,
    ) -> Result<Session, StateError> {
        let id = id.into();
        let SessionOptions { ttl, metadata } = options;
        self.try_create(&id, ttl, &metadata)?
            .ok_or(StateError::SessionExists(id))
    }

    fn try_create(
        &self,
        id: &SessionId,
        ttl: Option<Duration>,
        metadata: &Metadata,
    ) -> Result<Option<Session>, StateError> {
        if let Some(reason) = names::fault(id.as_str()) {
            let what = format!("session id {:?}", names::short(id.as_str()));
            return Err(StateError::Invalid { what, reason });
        }
        let ttl = nanos(ttl.unwrap_or(self.config().ttl));
        if ttl == 0 {
            return Err(StateError::Invalid {
                what: "the time to live".into(),
                reason: "is zero".into(),
            });
        }
        metadata::check(metadata)?;
        let now = self.inner.now();
        let Some(place) = self.inner.store.create(id, ttl, now)? else {
            return Ok(None);
        };
        let session = self.session(id.clone(), place);
        let made = session.begin(metadata);
        if made.is_err() {
            // Without its metadata it is not what was asked for.
            session.delete().ok();
        }
        made.map(|()| Some(session))
    }

    /// The session of this id; counts as an access.
    ///
    /// # Errors
    /// [`StateError::UnknownSession`], [`StateError::Closed`].
    pub fn get(&self, id: &SessionId) -> Result<Session, StateError> {
        let place = self.inner.store.find(id, self.inner.now(), Access::Touch);
        let place = place.ok_or_else(|| self.unknown(id))?;
        Ok(self.session(id.clone(), place))
    }

    fn unknown(&self, id: &SessionId) -> StateError {
        if self.inner.store.is_closed() {
            return StateError::Closed;
        }
        StateError::UnknownSession(id.clone())
    }

    /// The session of this id, created if there is none; counts as an access. The options are for a new one only.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn get_or_create(
        &self,
        id: impl Into<SessionId>,
        options: SessionOptions,
    ) -> Result<Session, StateError> {
        let id = id.into();
        let SessionOptions { ttl, metadata } = options;
        loop {
            if let Ok(session) = self.get(&id) {
                return Ok(session);
            }
            if let Some(session) = self.try_create(&id, ttl, &metadata)? {
                return Ok(session);
            }
        }
    }

    /// There is a session of this id. Not an access.
    pub fn exists(&self, id: &SessionId) -> bool {
        let now = self.inner.now();
        self.inner.store.find(id, now, Access::Peek).is_some()
    }

    /// Ends a session and drops all that it has.
    ///
    /// # Errors
    /// [`StateError::UnknownSession`], [`StateError::Closed`].
    pub fn delete(&self, id: &SessionId) -> Result<(), StateError> {
        let (store, now) = (&self.inner.store, self.inner.now());
        let place = store.find(id, now, Access::Peek);
        store.delete(id, place.ok_or_else(|| self.unknown(id))?, now)
    }

    /// Some sessions, at most `limit`; `None` begins.
    pub fn list(&self, from: Option<SessionCursor>, limit: usize) -> SessionPage {
        let now = self.inner.now();
        let from = from.unwrap_or_default().split();
        let (sessions, next) = self
            .inner
            .store
            .page(from, limit.max(1), now, |live| live.to_info(now));
        SessionPage {
            sessions,
            next: next.map(SessionCursor::join),
        }
    }

    /// Number of live sessions.
    pub fn count(&self) -> usize {
        self.sweep();
        self.inner.store.counters.live.load(Ordering::Relaxed)
    }

    /// Counters.
    pub fn stats(&self) -> SessionStats {
        let store = &self.inner.store;
        let counters = &store.counters;
        SessionStats {
            live: counters.live.load(Ordering::Relaxed) as u64,
            created: counters.created.load(Ordering::Relaxed),
            expired: counters.expired.load(Ordering::Relaxed),
            deleted: counters.deleted.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed) as u64,
            global_programs: store.global_programs() as u64,
            changes: counters.changes.load(Ordering::Relaxed),
            missed: counters.missed.load(Ordering::Relaxed),
            conflicts: counters.conflicts.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
        }
    }

    /// Ends the sessions that have expired, and says how many they were. Readers do not need it; memory does.
    pub fn sweep(&self) -> usize {
        self.inner.store.sweep(self.inner.now())
    }

    /// Has `hook` called after each end of a session, on the thread that noticed it. It must return soon.
    pub fn on_end(&self, hook: impl Fn(&SessionId, u64, SessionEnd) + Send + Sync + 'static) {
        self.inner.store.add_hook(Arc::new(hook));
    }

    /// Ends all sessions; from now on everything fails with [`StateError::Closed`].
    pub fn close(&self) {
        self.inner.store.close();
    }

    /// Stores a program that all sessions see; one of the same name is replaced.
    ///
    /// # Errors
    /// [`StateError::Quota`], [`StateError::Invalid`] name or value, [`StateError::Closed`].
    pub fn put_program(&self, name: &str, program: Value) -> Result<(), StateError> {
        self.inner.store.put_program(name, program)
    }

    /// A program that all sessions see.
    ///
    /// # Errors
    /// [`StateError::UnknownProgram`].
    pub fn program(&self, name: &str) -> Result<Arc<Value>, StateError> {
        self.inner.store.program(name)
    }

    /// Deletes a program that all sessions see.
    ///
    /// # Errors
    /// [`StateError::UnknownProgram`].
    pub fn delete_program(&self, name: &str) -> Result<(), StateError> {
        self.inner.store.delete_program(name)
    }

    /// Names of the programs that all sessions see, in order.
    pub fn programs(&self) -> Vec<String> {
        self.inner.store.programs()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
