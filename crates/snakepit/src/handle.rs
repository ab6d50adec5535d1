//! The caller's handle to one pool.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::worker::profiling::{Profile, ProfileError, ProfileHandle};
use crate::{
    Affinity, Call, CallOptions, ConfigError, Error, HostState, ManyResults, Pool, PoolName,
    RecycleError, ResultStream, Session, SessionId, SessionOptions, Stacks, StateError, Status,
    ToolInfo, WorkerId, WorkerStatus,
};

/// A handle to one pool, with or without a session. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PoolHandle {
    pool: Pool,
    state: HostState,
    session: Option<SessionId>,
    /// The generation of that session. `None` for any.
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

    /// Returns the name of the pool.
    pub fn name(&self) -> &PoolName {
        self.pool.name()
    }

    /// Returns a handle to the same pool with a session. Calls go to the worker that had the
    /// session's last call, as strictly as the pool's `affinity` requires. Tools can read the id
    /// and use the session's state.
    #[must_use]
    pub fn session(&self, id: impl Into<SessionId>) -> Self {
        Self {
            session: Some(id.into()),
            generation: None,
            ..self.clone()
        }
    }

    /// Returns a handle to the same pool with exactly this session. Once the session has ended,
    /// calls and [`state`](Self::state) fail with [`StateError::SessionExpired`] or another error
    /// of its end; they never use a new session with the same id.
    #[must_use]
    pub fn in_session(&self, session: &Session) -> Self {
        Self {
            session: Some(session.id().clone()),
            generation: Some(session.clone()),
            ..self.clone()
        }
    }

    /// Returns the same handle with another affinity than the pool's.
    #[must_use]
    pub fn affinity(&self, affinity: Affinity) -> Self {
        Self {
            affinity: Some(affinity),
            ..self.clone()
        }
    }

    /// Returns the session's state in this process: variables, programs, metadata. Creates the
    /// session if there is none. The state does not depend on workers.
    ///
    /// # Errors
    /// [`StateError`] if this handle has no session, or if a quota allows no further session.
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

    /// Returns a call of a tool, which runs once it is awaited; see [`Call`].
    ///
    /// ```no_run
    /// # async fn demo(pool: snakepit::PoolHandle) -> Result<(), snakepit::Error> {
    /// use std::time::Duration;
    ///
    /// let pid: i64 = pool.call("pid").timeout(Duration::from_secs(1)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn call<R>(&self, tool: impl Into<Arc<str>>) -> Call<R> {
        Call::new(self.pool.clone(), tool.into(), self.options())
    }

    /// Calls a tool and waits for its result. Short for `call(tool).args(args).await`.
    ///
    /// # Errors
    /// Every [`Error`]; [`Error::code`] distinguishes them.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call; the tool may have run in part.
    #[inline(always)]
    pub fn execute<R: DeserializeOwned>(
        &self,
        tool: impl Into<Arc<str>>,
        args: impl Serialize,
    ) -> impl Future<Output = Result<R, Error>> + Send {
        self.call(tool).args(args).run()
    }

    /// Calls a streaming tool. Dropping the stream cancels the call. Short for
    /// `call(tool).args(args).stream()`.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); once the call runs, an error is the last item of the stream.
    pub fn execute_stream<R: DeserializeOwned>(
        &self,
        tool: impl Into<Arc<str>>,
        args: impl Serialize,
    ) -> impl Future<Output = Result<ResultStream<R>, Error>> + Send {
        self.call(tool).args(args).stream()
    }

    /// Calls a tool once per item, spread over all workers. Yields one result per item, in order.
    /// Short for `call(tool).each(items)`.
    ///
    /// Each item holds the arguments of one call: a map, a tuple, or `()`. Items are taken as
    /// results are consumed.
    pub fn execute_many<R, I>(&self, tool: impl Into<Arc<str>>, items: I) -> ManyResults<R>
    where
        R: DeserializeOwned,
        I: IntoIterator,
        I::Item: Serialize,
        I::IntoIter: Send + 'static,
    {
        self.call(tool).each(items)
    }

    /// Returns state and counters of the pool.
    pub fn status(&self) -> Status {
        self.pool.status()
    }

    /// Returns the state of every worker.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.pool.workers()
    }

    /// Returns the tools that the most recently started worker described. Empty before the first
    /// worker is ready.
    pub fn tools(&self) -> Vec<ToolInfo> {
        self.pool.tools()
    }

    /// Waits until a worker accepts calls. Other workers may still start.
    ///
    /// # Errors
    /// [`Error::Start`] if the pool cannot start, [`Error::Timeout`] after `timeout`.
    pub async fn await_ready(&self, timeout: Duration) -> Result<(), Error> {
        self.pool.await_ready(timeout).await
    }

    /// Waits until all workers accept calls that the pool is to have at the moment. After the death
    /// of a worker this waits for its replacement.
    ///
    /// # Errors
    /// As [`await_ready`](Self::await_ready).
    pub async fn await_all_ready(&self, timeout: Duration) -> Result<(), Error> {
        self.pool.await_all_ready(timeout).await
    }

    /// Replaces a worker, whatever its age. Returns the name of the replacement once it has taken
    /// over. Running calls continue for up to `recycle.max_drain`.
    ///
    /// # Errors
    /// [`RecycleError`]; if the replacement does not start, the worker stays in service.
    ///
    /// # Cancel safety
    /// Once polled, the replacement continues without the caller.
    pub async fn recycle(&self, worker: &WorkerId) -> Result<WorkerId, RecycleError> {
        self.pool.recycle(worker).await
    }

    /// Changes the number of workers. Returns when the change has begun. Surplus workers finish
    /// their calls first. A pool that had given up starting workers tries again.
    ///
    /// # Errors
    /// The number is out of range, or outside the range of `autoscale`.
    ///
    /// # Cancel safety
    /// Once polled, the change continues without the caller.
    pub async fn resize(&self, workers: usize) -> Result<(), ConfigError> {
        self.pool.resize(workers).await
    }

    /// Returns the stacks of a worker's threads, also while a tool is busy. `None` if the worker
    /// does not answer within `wait`, or does not exist.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stacks(&self, worker: &WorkerId, wait: Duration) -> Option<Stacks> {
        self.pool.stacks(worker, wait).await
    }

    /// Starts to sample the stacks of all Python threads of a worker, also while a tool is busy.
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
    /// # use snakepit::core::worker::profiling::ProfileError;
    /// # async fn look(pool: snakepit::PoolHandle) -> Result<(), ProfileError> {
    /// use snakepit::core::worker::profiling::Profile;
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

    /// Returns the pool itself, which accepts encoded payloads.
    pub const fn raw(&self) -> &Pool {
        &self.pool
    }

    fn options(&self) -> CallOptions {
        let mut options = CallOptions::new();
        options.affinity = self.affinity;
        options.session.clone_from(&self.session);
        match &self.generation {
            Some(session) => options.in_session(session),
            None => options,
        }
    }
}
