//! The handle of one session.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::counters::Counters;
use super::data::Data;
use super::shard::{LiveSession, Nanos};
use super::store::{Access, Place, Store};
use super::{Inner, MetadataUpdate, Quota, SessionHold, SessionInfo, Sessions, StateError};
use crate::id::SessionId;
use crate::state::Origin;
use crate::value::{Metadata, metadata};

/// A handle of one session. Cheap to clone. It refers to one generation: once that session is over,
/// the handle stays unusable even if the id is used again.
///
/// Every method except [`info`](Self::info) and [`watch`](Self::watch) counts as an access, which
/// prolongs the session. So does a call of a tool for the session, from its beginning to its end.
#[derive(Clone)]
pub struct Session {
    pub(super) inner: Arc<Inner>,
    pub(super) id: SessionId,
    pub(super) place: Place,
    pub(super) origin: Origin,
}

impl Session {
    pub(super) const fn new(inner: Arc<Inner>, id: SessionId, place: Place) -> Self {
        Self {
            inner,
            id,
            place,
            origin: Origin::Host,
        }
    }

    /// Id of the session.
    pub const fn id(&self) -> &SessionId {
        &self.id
    }

    /// Generation of the session, unique among all sessions of this store.
    pub const fn generation(&self) -> u64 {
        self.place.generation
    }

    /// Returns a handle for another author: changes through it carry `origin`.
    #[must_use]
    pub fn with_origin(&self, origin: Origin) -> Self {
        Self {
            origin,
            ..self.clone()
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(super) fn with<R>(
        &self,
        access: Access,
        act: impl FnOnce(&mut LiveSession) -> R,
    ) -> Result<R, StateError> {
        let now = self.inner.now();
        self.store().with(&self.id, &self.place, now, access, act)
    }

    /// Like [`with`](Self::with), for operations that may fail.
    pub(super) fn try_with<R>(
        &self,
        access: Access,
        act: impl FnOnce(&mut LiveSession) -> Result<R, StateError>,
    ) -> Result<R, StateError> {
        self.with(access, act)?
    }

    /// Returns the description of the session. Not an access.
    ///
    /// # Errors
    /// The session is over: [`StateError::SessionExpired`], [`StateError::UnknownSession`],
    /// [`StateError::StaleSession`] or [`StateError::Closed`].
    pub fn info(&self) -> Result<SessionInfo, StateError> {
        let now = self.inner.now();
        let describe = |live: &mut LiveSession| live.to_info(now);
        self.store()
            .with(&self.id, &self.place, now, Access::Peek, describe)
    }

    /// Prolongs the session.
    ///
    /// # Errors
    /// The session is over.
    pub fn touch(&self) -> Result<(), StateError> {
        self.with(Access::Touch, |_| ())
    }

    /// Changes the metadata of the session.
    ///
    /// # Errors
    /// The session is over, [`StateError::Metadata`], [`StateError::Quota`].
    pub fn update(&self, update: Metadata, how: MetadataUpdate) -> Result<(), StateError> {
        self.try_with(Access::Touch, |live| {
            let before = live.data.as_ref().map(|data| &data.metadata);
            let old = before.map_or(0, metadata::bytes);
            let mut after = match how {
                MetadataUpdate::Merge => before.cloned().unwrap_or_default(),
                MetadataUpdate::Replace => Metadata::new(),
            };
            after.extend(update);
            metadata::check(&after)?;
            live.charge(self.store(), metadata::bytes(&after), old)?;
            live.data_mut().metadata = after;
            Ok(())
        })
    }

    /// Returns true if this is one of these sessions.
    pub fn is_in(&self, sessions: &Sessions) -> bool {
        Arc::ptr_eq(&self.inner, &sessions.inner)
    }

    /// Keeps the session from expiring until the returned hold is dropped.
    ///
    /// # Errors
    /// The session is over.
    pub fn hold(&self) -> Result<SessionHold, StateError> {
        SessionHold::new(self.clone())
    }

    /// Ends the session and drops its contents. Returns `false` if it is over already.
    ///
    /// # Errors
    /// [`StateError::Closed`].
    pub fn delete(&self) -> Result<bool, StateError> {
        self.store().delete(&self.id, &self.place, self.inner.now())
    }
}

impl LiveSession {
    pub(super) fn data_mut(&mut self) -> &mut Data {
        self.data.get_or_insert_default()
    }

    /// Adds `added` bytes to the quotas and subtracts `removed`, or rejects the change.
    pub(super) fn charge(
        &mut self,
        store: &Store,
        added: usize,
        removed: usize,
    ) -> Result<(), StateError> {
        let counters: &Counters = &store.counters;
        if let Some(more) = added.checked_sub(removed) {
            let limit = store.config.max_session_bytes;
            counters.check(Quota::SessionBytes, limit, self.bytes, more)?;
            let limit = store.config.max_total_bytes;
            counters.reserve(&counters.bytes, Quota::TotalBytes, limit, more)?;
            self.bytes += more;
        } else {
            let less = removed - added;
            counters.release(less);
            self.bytes -= less;
        }
        Ok(())
    }

    pub(super) fn to_info(&self, now: Nanos) -> SessionInfo {
        let data = self.data.as_ref();
        SessionInfo {
            id: self.id.clone(),
            generation: self.generation,
            metadata: data.map(|data| data.metadata.clone()).unwrap_or_default(),
            age: Duration::from_nanos(now.saturating_sub(self.created)),
            idle: match self.holds {
                0 => Duration::from_nanos(now.saturating_sub(self.accessed)),
                _ => Duration::ZERO,
            },
            calls: self.holds as usize,
            ttl: Duration::from_nanos(self.ttl),
            variables: data.map_or(0, |data| data.variables.len()),
            programs: data.map_or(0, |data| data.programs.len()),
            bytes: self.bytes,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("generation", &self.place.generation)
            .finish_non_exhaustive()
    }
}
