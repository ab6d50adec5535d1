//! The running host: pools by name.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
#[cfg(feature = "process")]
use snakepit_profiles::Run;

use crate::events::{Emitted, EventStream, PatternError, Subscription};
use crate::shutdown::{Host, ShutdownReport};
use crate::{
    Call, Error, HostState, HostTools, ManyResults, Pool, PoolHandle, PoolName, RecycleError,
    ResultStream, Session, SessionId, Sessions, SnakepitBuilder, Status, ToolInfo, WorkerId,
    WorkerStatus,
};

/// Maximum number of events that [`Snakepit::events`] buffers.
const EVENTS: usize = 4096;

/// A running host of one or more pools. Cheap to clone; all clones share the same host.
///
/// Calls without a pool go to the default pool. The workers end with [`shutdown`](Self::shutdown),
/// or when the last clone and the last [`PoolHandle`] are dropped.
#[derive(Clone, Debug)]
pub struct Snakepit {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The pools, in the order in which they were configured.
    pools: Vec<Pool>,
    default: PoolHandle,
    host: Host,
}

/// A reference that does not keep the [`Snakepit`] running, for example in a host tool that calls
/// back into it.
#[derive(Clone, Debug)]
pub struct WeakSnakepit {
    inner: Weak<Inner>,
}

impl WeakSnakepit {
    /// Returns the host. `None` if all its handles are gone.
    pub fn upgrade(&self) -> Option<Snakepit> {
        let inner = self.inner.upgrade()?;
        Some(Snakepit { inner })
    }
}

impl Snakepit {
    /// Returns a builder, which configures and starts a host.
    pub fn builder() -> SnakepitBuilder {
        SnakepitBuilder::default()
    }

    pub(crate) fn new(pools: Vec<Pool>, default: &PoolName, host: Host) -> Self {
        let pool = pools.iter().find(|pool| pool.name() == default);
        let pool = pool.expect("the builder checked the default pool").clone();
        let default = PoolHandle::new(pool, host.state().clone());
        Self {
            inner: Arc::new(Inner {
                pools,
                default,
                host,
            }),
        }
    }

    #[cfg(any(feature = "diag", feature = "telemetry"))]
    pub(crate) fn host(&self) -> &Host {
        &self.inner.host
    }

    /// Returns a call of a tool of the default pool, which runs once it is awaited; see [`Call`].
    #[inline(always)]
    pub fn call<R>(&self, tool: impl Into<Arc<str>>) -> Call<R> {
        self.inner.default.call(tool)
    }

    /// Calls a tool of the default pool and waits for its result, as [`PoolHandle::execute`] does.
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
        self.inner.default.execute(tool, args)
    }

    /// Calls a streaming tool of the default pool. Dropping the stream cancels the call.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); once the call runs, an error is the last item of the stream.
    pub fn execute_stream<R: DeserializeOwned>(
        &self,
        tool: impl Into<Arc<str>>,
        args: impl Serialize,
    ) -> impl Future<Output = Result<ResultStream<R>, Error>> + Send {
        self.inner.default.execute_stream(tool, args)
    }

    /// Calls a tool once per item, spread over all workers of the default pool, as
    /// [`PoolHandle::execute_many`] does.
    pub fn execute_many<R, I>(&self, tool: impl Into<Arc<str>>, items: I) -> ManyResults<R>
    where
        R: DeserializeOwned,
        I: IntoIterator,
        I::Item: Serialize,
        I::IntoIter: Send + 'static,
    {
        self.inner.default.execute_many(tool, items)
    }

    /// Returns the pool with this name.
    ///
    /// # Errors
    /// [`Error::UnknownPool`].
    pub fn pool(&self, name: &str) -> Result<PoolHandle, Error> {
        let pool = self
            .inner
            .pools
            .iter()
            .find(|pool| pool.name().as_str() == name);
        pool.cloned()
            .map(|pool| PoolHandle::new(pool, self.inner.host.state().clone()))
            .ok_or_else(|| Error::UnknownPool {
                name: name.to_owned(),
                known: self
                    .inner
                    .pools
                    .iter()
                    .map(|pool| pool.name().to_string())
                    .collect(),
            })
    }

    /// Returns the default pool.
    pub fn default_pool(&self) -> &PoolHandle {
        &self.inner.default
    }

    /// Returns a reference that does not keep the host running.
    pub fn downgrade(&self) -> WeakSnakepit {
        WeakSnakepit {
            inner: Arc::downgrade(&self.inner),
        }
    }

    /// Returns the state of the host: sessions, programs and host tools in one handle, for example
    /// for a custom profile or server.
    pub fn host_state(&self) -> &HostState {
        self.inner.host.state()
    }

    /// Subscribes to all events of the host. The stream buffers up to 4,096 events and counts those
    /// that it drops. `host_state().events()` offers other bounds and patterns.
    pub fn events(&self) -> EventStream {
        self.host_state().events().subscribe(EVENTS)
    }

    /// Calls `handler` for each event of the host whose name matches `pattern`, for example
    /// `worker.*`; see [`Events::on_event`](crate::events::Events::on_event).
    ///
    /// # Errors
    /// The pattern cannot match any name.
    pub fn on_event(
        &self,
        pattern: &str,
        handler: impl Fn(&Emitted) + Send + Sync + 'static,
    ) -> Result<Subscription, PatternError> {
        self.host_state().events().on_event(pattern, handler)
    }

    /// Returns the run in which the workers are recorded, with its registry. `None` if no pool
    /// needs one: each pool has its own data directory or profile.
    #[cfg(feature = "process")]
    pub fn run(&self) -> Option<&Run> {
        self.inner.host.run()
    }

    /// Returns the id of the host's run, as `snakepit orphans` shows it.
    #[cfg(feature = "process")]
    pub fn run_id(&self) -> Option<String> {
        Some(self.run()?.registry().run_id().to_string())
    }

    /// Returns the sessions, and the programs that all of them share.
    pub fn sessions(&self) -> &Sessions {
        self.inner.host.state().sessions()
    }

    /// Returns the functions of this program that tools may call.
    pub fn host_tools(&self) -> &HostTools {
        self.inner.host.state().tools()
    }

    /// Returns the default pool with a session, as [`PoolHandle::session`] does.
    pub fn session(&self, id: impl Into<SessionId>) -> PoolHandle {
        self.inner.default.session(id)
    }

    /// Returns the default pool with exactly this session, as [`PoolHandle::in_session`] does.
    pub fn in_session(&self, session: &Session) -> PoolHandle {
        self.inner.default.in_session(session)
    }

    /// Returns all pools, the default pool first.
    pub(crate) fn pools(&self) -> Vec<PoolHandle> {
        let state = self.inner.host.state();
        let default = self.inner.default.name();
        let others = self
            .inner
            .pools
            .iter()
            .filter(|pool| pool.name() != default);
        let others = others.map(|pool| PoolHandle::new(pool.clone(), state.clone()));
        std::iter::once(self.inner.default.clone())
            .chain(others)
            .collect()
    }

    /// Returns state and counters of every pool.
    pub fn status(&self) -> Vec<Status> {
        self.inner.pools.iter().map(Pool::status).collect()
    }

    /// Returns the state of every worker of every pool.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.inner.pools.iter().flat_map(Pool::workers).collect()
    }

    /// Replaces a worker of any pool, as [`PoolHandle::recycle`] does.
    ///
    /// # Errors
    /// As [`PoolHandle::recycle`].
    ///
    /// # Cancel safety
    /// As [`PoolHandle::recycle`].
    pub async fn recycle(&self, worker: &WorkerId) -> Result<WorkerId, RecycleError> {
        let has = |pool: &&Pool| pool.workers().iter().any(|one| one.id == *worker);
        let pool = self.inner.pools.iter().find(has);
        // An unknown worker is the default pool's error.
        pool.unwrap_or_else(|| self.inner.default.raw())
            .recycle(worker)
            .await
    }

    /// Returns the tools of the default pool that its most recently started worker described. Empty
    /// before the first worker is ready.
    pub fn tools(&self) -> Vec<ToolInfo> {
        self.inner.default.tools()
    }

    /// Waits until each pool has a worker that accepts calls. Other workers may still start.
    ///
    /// # Errors
    /// [`Error::Start`] if a pool cannot start, [`Error::Timeout`] after `timeout`.
    pub async fn await_ready(&self, timeout: Duration) -> Result<(), Error> {
        let pools = self.inner.pools.iter();
        try_join_all(pools.map(|pool| pool.await_ready(timeout))).await?;
        Ok(())
    }

    /// Waits until all workers of all pools accept calls that the pools are to have at the moment.
    /// After the death of a worker this waits for its replacement.
    ///
    /// # Errors
    /// As [`await_ready`](Self::await_ready).
    pub async fn await_all_ready(&self, timeout: Duration) -> Result<(), Error> {
        let pools = self.inner.pools.iter();
        try_join_all(pools.map(|pool| pool.await_all_ready(timeout))).await?;
        Ok(())
    }

    /// Shuts everything down, all pools at the same time. No worker is started any more, and
    /// waiting calls fail. Running calls have the pool's `drain_timeout` to finish; their workers
    /// then have its `stop_grace` to stop before they are killed. Host tools answer until the pools
    /// have closed. Then all sessions end, and remaining processes of the run are killed.
    ///
    /// A second call returns the report of the first.
    ///
    /// # Cancel safety
    /// Once polled, the pools close without the caller. Call it again for the other steps.
    pub async fn shutdown(&self) -> ShutdownReport {
        self.inner.host.shutdown(&self.inner.pools).await
    }

    /// Kills all workers at once, without waiting for calls.
    pub(crate) async fn kill(&self) -> ShutdownReport {
        self.inner.host.kill().await
    }
}
