//! Sessions: state of callers that outlives workers.

mod config;
mod counters;
mod data;
mod error;
mod handle;
mod hold;
mod info;
mod program;
mod reports;
mod shard;
mod store;
mod variables;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::ConfigError;
use crate::events::Events;
use crate::id::SessionId;
use crate::value::{Value, metadata, names};
pub use config::{SessionConfig, SessionOptions};
pub use error::{Quota, StateError};
pub use handle::Session;
pub use hold::SessionHold;
pub use info::{MetadataUpdate, SessionCursor, SessionEnd, SessionInfo, SessionPage, SessionStats};
use shard::Nanos;
use store::{Access, Place, Store};

/// All sessions of a host. Cheap to clone; every method may be called from any thread and returns
/// without waiting.
///
/// A session expires when nothing has used it for its time to live; from that moment on readers do
/// not see it. A running call for a session uses it, so the session does not expire while the call
/// runs.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// Creation time of the store.
    epoch: Instant,
}

impl Inner {
    /// The only place where sessions read the clock.
    fn now(&self) -> Nanos {
        nanos(Instant::now().saturating_duration_since(self.epoch))
    }
}

fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

impl Sessions {
    /// Creates an empty store.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(config: SessionConfig) -> Result<Self, ConfigError> {
        Self::with_events(config, Events::new())
    }

    /// Creates an empty store that emits its events into this hub.
    pub(crate) fn with_events(config: SessionConfig, events: Events) -> Result<Self, ConfigError> {
        config.validate()?;
        let (store, epoch) = (Store::new(config, events), Instant::now());
        Ok(Self {
            inner: Arc::new(Inner { store, epoch }),
        })
    }

    /// The settings.
    pub fn config(&self) -> &SessionConfig {
        &self.inner.store.config
    }

    /// The hub into which the sessions emit events.
    pub(crate) fn events(&self) -> &Events {
        &self.inner.store.events
    }

    /// Returns true if the store is closed, so that every operation fails.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner.store.is_closed()
    }

    fn session(&self, id: SessionId, place: Place) -> Session {
        Session::new(Arc::clone(&self.inner), id, place)
    }

    /// Creates a session.
    ///
    /// # Errors
    /// [`StateError::SessionExists`], [`StateError::Quota`], [`StateError::Invalid`] id or time to
    /// live, [`StateError::Metadata`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are usually built in the call"
    )]
    pub fn create(
        &self,
        id: impl Into<SessionId>,
        options: SessionOptions,
    ) -> Result<Session, StateError> {
        let id = id.into();
        self.try_create(&id, &options)?
            .ok_or(StateError::SessionExists(id))
    }

    /// Creates a session. `None` if there is one of this id.
    fn try_create(
        &self,
        id: &SessionId,
        options: &SessionOptions,
    ) -> Result<Option<Session>, StateError> {
        Self::check_id(id)?;
        let SessionOptions { ttl, metadata } = options;
        let ttl = nanos(ttl.unwrap_or(self.config().ttl));
        if ttl == 0 {
            return Err(StateError::Invalid {
                what: "the time to live".into(),
                reason: "is zero".into(),
            });
        }
        metadata::check(metadata)?;
        let place = self
            .inner
            .store
            .create(id, ttl, metadata, self.inner.now())?;
        Ok(place.map(|place| self.session(id.clone(), place)))
    }

    /// Checks that an id can name a session: 1 to 256 bytes without control characters.
    ///
    /// # Errors
    /// [`StateError::Invalid`].
    pub fn check_id(id: &SessionId) -> Result<(), StateError> {
        let Some(reason) = names::fault(id.as_str()) else {
            return Ok(());
        };
        let what = format!("session id {:?}", names::short(id.as_str()));
        Err(StateError::Invalid { what, reason })
    }

    /// Holds the session of this id for a call, and creates it if there is none. `None` if a quota
    /// does not allow another session: the call can run without it unless it stores something
    /// there.
    pub(crate) fn enter(&self, id: &SessionId) -> Result<Option<SessionHold>, StateError> {
        loop {
            let session = match self.get(id) {
                Ok(session) => Some(session),
                Err(StateError::Closed) => return Ok(None),
                Err(_) => match self.try_create(id, &SessionOptions::default()) {
                    Err(StateError::Quota { .. } | StateError::Closed) => return Ok(None),
                    created => created?,
                },
            };
            // Another caller may have created or ended the session in between.
            if let Some(Ok(hold)) = session.map(|session| session.hold()) {
                return Ok(Some(hold));
            }
        }
    }

    /// Returns the session of this id; counts as an access.
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

    /// Returns the session of this id, created if there is none; counts as an access. The options
    /// apply only to a new session.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "options are usually built in the call"
    )]
    pub fn get_or_create(
        &self,
        id: impl Into<SessionId>,
        options: SessionOptions,
    ) -> Result<Session, StateError> {
        let id = id.into();
        loop {
            if let Ok(session) = self.get(&id) {
                return Ok(session);
            }
            if let Some(session) = self.try_create(&id, &options)? {
                return Ok(session);
            }
        }
    }

    /// Returns true if there is a session of this id. Not an access.
    pub fn exists(&self, id: &SessionId) -> bool {
        let now = self.inner.now();
        self.inner.store.find(id, now, Access::Peek).is_some()
    }

    /// Ends a session and drops its contents. Returns `false` if there is none of this id.
    ///
    /// # Errors
    /// [`StateError::Closed`].
    pub fn delete(&self, id: &SessionId) -> Result<bool, StateError> {
        let (store, now) = (&self.inner.store, self.inner.now());
        match store.find(id, now, Access::Peek) {
            Some(place) => store.delete(id, &place, now),
            None if store.is_closed() => Err(StateError::Closed),
            None => Ok(false),
        }
    }

    /// Returns up to `limit` sessions, beginning at `from`; `None` for the first ones.
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

    /// Returns the counters.
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

    /// Ends the sessions that have expired, and returns their number. Readers do not depend on it;
    /// it frees memory.
    pub fn sweep(&self) -> usize {
        self.inner.store.sweep(self.inner.now())
    }

    /// Registers a `hook` that is called after each end of a session, on the thread that noticed
    /// it. The hook must return soon.
    pub fn on_end(&self, hook: impl Fn(&SessionId, u64, SessionEnd) + Send + Sync + 'static) {
        self.inner.store.add_hook(Arc::new(hook));
    }

    /// Ends all sessions and drops the programs that all of them see. Every later operation fails
    /// with [`StateError::Closed`].
    pub fn close(&self) {
        self.inner.store.close(self.inner.now());
    }

    /// Stores a program that all sessions see; replaces one of the same name.
    ///
    /// # Errors
    /// [`StateError::Quota`], [`StateError::Invalid`] name or value, [`StateError::Closed`].
    pub fn put_program(&self, name: &str, program: Value) -> Result<(), StateError> {
        self.inner.store.put_program(name, program)
    }

    /// Returns a program that all sessions see.
    ///
    /// # Errors
    /// [`StateError::UnknownProgram`], [`StateError::Closed`].
    pub fn program(&self, name: &str) -> Result<Arc<Value>, StateError> {
        self.inner.store.program(name)
    }

    /// Deletes a program that all sessions see. Returns `false` if there is none of this name.
    ///
    /// # Errors
    /// [`StateError::Closed`].
    pub fn delete_program(&self, name: &str) -> Result<bool, StateError> {
        self.inner.store.delete_program(name)
    }

    /// Returns the names of the programs that all sessions see, in order.
    ///
    /// # Errors
    /// [`StateError::Closed`].
    pub fn programs(&self) -> Result<Vec<String>, StateError> {
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
