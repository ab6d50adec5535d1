//! One pool, as callers see it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::profiling::{Profile, ProfileError, ProfileHandle};
use crate::{
    Affinity, CallOptions, ConfigError, Error, HostState, ManyResults, Payload, Pool, PoolName,
    RecycleError, ResultStream, Session, SessionId, SessionOptions, Stacks, StateError, Status,
    ToolInfo, WorkerId, WorkerStatus,
};

/// One pool, with or without a session. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PoolHandle {
    pool: Pool,
    state: HostState,
    session: Option<SessionId>,
    /// The generation of that session that this is for; any when absent.
    generation: Option<Session>,
    affinity: Option<Affinity>,
}

impl PoolHandle {
    pub(crate) const fn new(pool: Pool, state: HostState) -> Self {
        Self {
            pool,
            state,
            session: None,
            generation: None,
            affinity: None,
        }
    }

    /// Name of the pool.
    pub fn name(&self) -> &PoolName {
        self.pool.name()
    }

    /// The same pool with a session: calls go to the worker that had the session's last call, as firmly as the pool's `affinity` says, and
    /// tools can read the id and use what the session keeps.
    #[must_use]
    pub fn session(&self, id: impl Into<SessionId>) -> Self {
        Self {
            session: Some(id.into()),
            generation: None,
            ..self.clone()
        }
    }

    /// The same pool with this very session: once it is over, calls and [`state`](Self::state) fail with
    /// [`StateError::SessionExpired`] or another error of its end, instead of going on with a new and empty session of the same id.
    #[must_use]
    pub fn in_session(&self, session: &Session) -> Self {
        Self {
            session: Some(session.id().clone()),
            generation: Some(session.clone()),
            ..self.clone()
        }
    }

    /// The same, with calls that are bound to the session's worker more or less firmly than the pool says.
    #[must_use]
    pub fn affinity(&self, affinity: Affinity) -> Self {
        Self {
            affinity: Some(affinity),
            ..self.clone()
        }
    }

    /// What the session keeps in this process: variables, programs, metadata. It is created when there is none, and workers that come and
    /// go do not matter to it.
    ///
    /// # Errors
    /// [`StateError`] when this handle has no session, or a quota does not allow another one.
    pub fn state(&self) -> Result<Session, StateError> {
        let Some(id) = &self.session else {
            return Err(StateError::Invalid {
                what: "this handle".to_owned(),
                reason: "has no session; make one with `.session(\"id\")`".to_owned(),
            });
        };
        if let Some(session) = &self.generation {
            session.touch()?;
            return Ok(session.clone());
        }
        let sessions = self.state.sessions();
        sessions.get_or_create(id.clone(), SessionOptions::default())
    }

    /// Calls a tool and waits for its result.
    ///
    /// # Errors
    /// Every [`Error`]; [`Error::code`] tells them apart.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call; the tool may have run in part.
    pub fn execute<R: DeserializeOwned>(
        &self,
        tool: impl Into<Arc<str>>,
        args: impl Serialize,
    ) -> impl Future<Output = Result<R, Error>> + Send {
        self.call(tool.into(), Payload::encode(&args), self.options())
    }

    /// Calls a tool with options.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    ///
    /// # Cancel safety
    /// As [`execute`](Self::execute).
    pub fn execute_with<R: DeserializeOwned>(
        &self,
        tool: impl Into<Arc<str>>,
        args: impl Serialize,
        options: &CallOptions,
    ) -> impl Future<Output = Result<R, Error>> + Send {
        self.call(tool.into(), Payload::encode(&args), self.merged(options))
    }

    /// Calls a streaming tool. Dropping the stream cancels the call.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); once it runs, errors arrive as the last item of the stream.
    pub fn execute_stream<R: DeserializeOwned>(
        &self,
        tool: impl Into<Arc<str>>,
        args: impl Serialize,
    ) -> impl Future<Output = Result<ResultStream<R>, Error>> + Send {
        self.open(tool.into(), Payload::encode(&args), self.options())
    }

    /// Calls a streaming tool with options.
    ///
    /// # Errors
    /// As [`execute_stream`](Self::execute_stream).
    pub fn execute_stream_with<R: DeserializeOwned>(
        &self,
        tool: impl Into<Arc<str>>,
        args: impl Serialize,
        options: &CallOptions,
    ) -> impl Future<Output = Result<ResultStream<R>, Error>> + Send {
        self.open(tool.into(), Payload::encode(&args), self.merged(options))
    }

    /// Calls a tool once per item, over all workers; one result per item, in order.
    ///
    /// Each item is the arguments of one call: a map, a tuple, or `()`. Items are taken as results are consumed.
    pub fn execute_many<R, I>(&self, tool: impl Into<Arc<str>>, items: I) -> ManyResults<R>
    where
        R: DeserializeOwned,
        I: IntoIterator,
        I::Item: Serialize,
        I::IntoIter: Send + 'static,
    {
        ManyResults::start(&self.pool, tool.into(), items.into_iter(), &self.options())
    }

    /// State and counters.
    pub fn status(&self) -> Status {
        self.pool.status()
    }

    /// State of every worker.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.pool.workers()
    }

    /// Tools, as the worker described them that became ready last; none before the first one was.
    pub fn tools(&self) -> Vec<ToolInfo> {
        self.pool.tools()
    }

    /// Waits until all workers are ready.
    ///
    /// # Errors
    /// [`Error::Start`] when the pool cannot start, [`Error::Timeout`] after `timeout`.
    pub async fn await_ready(&self, timeout: Duration) -> Result<(), Error> {
        self.pool.await_ready(timeout).await
    }

    /// Replaces a worker, whatever its age, and returns the name of its replacement once that has taken over. Calls of the worker go on
    /// for up to `recycle.max_drain`.
    ///
    /// # Errors
    /// [`RecycleError`]; the worker goes on when its replacement did not start.
    ///
    /// # Cancel safety
    /// Once polled, the replacement goes on without the caller.
    pub async fn recycle(&self, worker: &WorkerId) -> Result<WorkerId, RecycleError> {
        self.pool.recycle(worker).await
    }

    /// Changes the number of workers. Surplus workers finish their calls first. It returns when the change has begun; a pool that had
    /// given up tries again.
    ///
    /// # Errors
    /// A number out of range, also of that of `autoscale`.
    ///
    /// # Cancel safety
    /// Once polled, the change goes on without the caller.
    pub async fn resize(&self, workers: usize) -> Result<(), ConfigError> {
        self.pool.resize(workers).await
    }

    /// Where each thread of a worker is, whatever it does; nothing when it could not tell within `wait`, or is not there.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stacks(&self, worker: &WorkerId, wait: Duration) -> Option<Stacks> {
        self.pool.stacks(worker, wait).await
    }

    /// Starts to sample the stacks of all Python threads of a worker, whatever it does.
    ///
    /// # Errors
    /// [`ProfileError`].
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    pub async fn profile(
        &self,
        worker: &WorkerId,
        profile: &Profile,
    ) -> Result<ProfileHandle, ProfileError> {
        self.pool.profile(worker, profile).await
    }

    /// Starts to sample all workers of the pool.
    ///
    /// ```no_run
    /// # async fn look(pool: snakepit::PoolHandle) -> Result<(), snakepit::core::profiling::ProfileError> {
    /// use snakepit::core::profiling::Profile;
    ///
    /// let handle = pool.profile_all(&Profile::default()).await?;
    /// handle.ended().await;
    /// print!("{}", handle.stop().await.collapsed());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ProfileError`].
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    pub async fn profile_all(&self, profile: &Profile) -> Result<ProfileHandle, ProfileError> {
        self.pool.profile_all(profile).await
    }

    /// The pool itself, which takes encoded payloads and can be resized.
    pub const fn raw(&self) -> &Pool {
        &self.pool
    }

    fn options(&self) -> CallOptions {
        let mut options = CallOptions::new();
        self.set_session(&mut options);
        options.affinity = self.affinity;
        options
    }

    fn set_session(&self, options: &mut CallOptions) {
        options.session.clone_from(&self.session);
        if let Some(session) = &self.generation {
            *options = std::mem::take(options).in_session(session);
        }
    }

    /// A session named in the options wins over the handle's.
    fn merged(&self, options: &CallOptions) -> CallOptions {
        let mut options = options.clone();
        if options.session.is_none() {
            self.set_session(&mut options);
        }
        options.affinity = options.affinity.or(self.affinity);
        options
    }

    fn call<R: DeserializeOwned>(
        &self,
        tool: Arc<str>,
        args: Result<Payload, crate::PayloadError>,
        options: CallOptions,
    ) -> impl Future<Output = Result<R, Error>> + Send + use<R> {
        let pool = self.pool.clone();
        async move { Ok(pool.execute(tool, args?, &options).await?.decode()?) }
    }

    fn open<R: DeserializeOwned>(
        &self,
        tool: Arc<str>,
        args: Result<Payload, crate::PayloadError>,
        options: CallOptions,
    ) -> impl Future<Output = Result<ResultStream<R>, Error>> + Send + use<R> {
        let pool = self.pool.clone();
        async move {
            Ok(ResultStream::new(
                pool.execute_stream(tool, args?, &options).await?,
            ))
        }
    }
}
