//! The running whole: pools by name.

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
    CallOptions, Error, HostState, HostTools, ManyResults, Pool, PoolHandle, PoolName,
    RecycleError, ResultStream, Session, SessionId, Sessions, SnakepitBuilder, Status, ToolInfo,
    WorkerId, WorkerStatus,
};

/// Events that [`Snakepit::events`] holds.
const EVENTS: usize = 4096;

/// The running whole: one or more pools. Cheap to clone; every clone is the same whole.
///
/// Calls without a pool go to the default pool. The workers end with [`shutdown`](Self::shutdown), or when the last clone and the last
/// [`PoolHandle`] are dropped.
#[derive(Clone, Debug)]
pub struct Snakepit {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// In the order of their description.
    pools: Vec<Pool>,
    default: PoolHandle,
    host: Host,
}

/// A [`Snakepit`] that does not keep it running, for example in a host tool that calls back into it.
#[derive(Clone, Debug)]
pub struct WeakSnakepit {
    inner: Weak<Inner>,
}

impl WeakSnakepit {
    /// The whole, unless all its handles are gone.
    pub fn upgrade(&self) -> Option<Snakepit> {
        let inner = self.inner.upgrade()?;
        Some(Snakepit { inner })
    }
}

impl Snakepit {
    /// Describes pools to start.
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

    /// Calls a tool of the default pool and waits for its result.
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
        self.inner.default.execute(tool, args)
    }

    /// Calls a tool of the default pool with options.
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
        self.inner.default.execute_with(tool, args, options)
    }

    /// Calls a streaming tool of the default pool. Dropping the stream cancels the call.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); once it runs, errors arrive as the last item of the stream.
    pub fn execute_stream<R: DeserializeOwned>(
        &self,
        tool: impl Into<Arc<str>>,
        args: impl Serialize,
    ) -> impl Future<Output = Result<ResultStream<R>, Error>> + Send {
        self.inner.default.execute_stream(tool, args)
    }

    /// Calls a tool once per item, over all workers of the default pool; one result per item, in order.
    ///
    /// Each item is the arguments of one call: a map, a tuple, or `()`. Items are taken as results are consumed.
    pub fn execute_many<R, I>(&self, tool: impl Into<Arc<str>>, items: I) -> ManyResults<R>
    where
        R: DeserializeOwned,
        I: IntoIterator,
        I::Item: Serialize,
        I::IntoIter: Send + 'static,
    {
        self.inner.default.execute_many(tool, items)
    }

    /// The pool with this name.
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

    /// The default pool.
    pub fn default_pool(&self) -> &PoolHandle {
        &self.inner.default
    }

    /// A handle that does not keep the whole running.
    pub fn downgrade(&self) -> WeakSnakepit {
        WeakSnakepit {
            inner: Arc::downgrade(&self.inner),
        }
    }

    /// The state of the host: sessions, programs and host tools in one handle, for example for a profile or a server of one's own.
    pub fn host_state(&self) -> &HostState {
        self.inner.host.state()
    }

    /// Subscribes to all events of the host, as a stream that holds up to 4,096 events that have not been taken; it counts what it loses.
    /// For another bound or a pattern there is the hub, `host_state().events()`.
    pub fn events(&self) -> EventStream {
        self.host_state().events().subscribe(EVENTS)
    }

    /// Calls `handler` for each event of the host whose name matches `pattern`, for example `worker.*`; see
    /// [`Events::on_event`](crate::events::Events::on_event).
    ///
    /// # Errors
    /// A pattern that cannot match any name.
    pub fn on_event(
        &self,
        pattern: &str,
        handler: impl Fn(&Emitted) + Send + Sync + 'static,
    ) -> Result<Subscription, PatternError> {
        self.host_state().events().on_event(pattern, handler)
    }

    /// The run in which the workers are recorded, with its registry. `None` if no pool needs one: each has a directory of its own, or a
    /// profile of its own.
    #[cfg(feature = "process")]
    pub fn run(&self) -> Option<&Run> {
        self.inner.host.run()
    }

    /// The id of that run, as `snakepit orphans` shows it.
    #[cfg(feature = "process")]
    pub fn run_id(&self) -> Option<String> {
        Some(self.run()?.registry().run_id().to_string())
    }

    /// Sessions, and the programs that all of them share.
    pub fn sessions(&self) -> &Sessions {
        self.inner.host.state().sessions()
    }

    /// Functions of this program that tools may call.
    pub fn host_tools(&self) -> &HostTools {
        self.inner.host.state().tools()
    }

    /// The default pool with a session, as [`PoolHandle::session`] tells.
    pub fn session(&self, id: impl Into<SessionId>) -> PoolHandle {
        self.inner.default.session(id)
    }

    /// The default pool with this very session, as [`PoolHandle::in_session`] tells.
    pub fn in_session(&self, session: &Session) -> PoolHandle {
        self.inner.default.in_session(session)
    }

    /// All pools, the default one first.
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

    /// State and counters of every pool.
    pub fn status(&self) -> Vec<Status> {
        self.inner.pools.iter().map(Pool::status).collect()
    }

    /// State of every worker of every pool.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.inner.pools.iter().flat_map(Pool::workers).collect()
    }

    /// Replaces a worker of any pool, as [`PoolHandle::recycle`] tells.
    ///
    /// # Errors
    /// As [`PoolHandle::recycle`].
    ///
    /// # Cancel safety
    /// As [`PoolHandle::recycle`].
    pub async fn recycle(&self, worker: &WorkerId) -> Result<WorkerId, RecycleError> {
        let has = |pool: &&Pool| pool.workers().iter().any(|one| one.id == *worker);
        let pool = self.inner.pools.iter().find(has);
        // A pool that does not know the worker says so.
        pool.unwrap_or_else(|| self.inner.default.raw())
            .recycle(worker)
            .await
    }

    /// Tools of the default pool, as the worker described them that became ready last; none before the first one was.
    pub fn tools(&self) -> Vec<ToolInfo> {
        self.inner.default.tools()
    }

    /// Waits until all workers of all pools are ready.
    ///
    /// # Errors
    /// [`Error::Start`] when a pool cannot start, [`Error::Timeout`] after `timeout`.
    pub async fn await_ready(&self, timeout: Duration) -> Result<(), Error> {
        try_join_all(
            self.inner
                .pools
                .iter()
                .map(|pool| pool.await_ready(timeout)),
        )
        .await?;
        Ok(())
    }

    /// Ends everything: no worker is started any more, waiting calls fail, running ones get the pool's `drain_timeout`, then workers get its `stop_grace`
    /// to stop and are killed when they do not. All pools at the same time; host tools answer until
    /// then. Sessions end. At last the run's processes are looked through, and what still lives is killed.
    /// Calling it again gives the first report.
    ///
    /// # Cancel safety
    /// Once polled, the pools close without the caller; call it again for the rest.
    pub async fn shutdown(&self) -> ShutdownReport {
        self.inner.host.shutdown(&self.inner.pools).await
    }

    /// Kills every worker at once, without waiting for any call.
    pub(crate) async fn kill(&self) -> ShutdownReport {
        self.inner.host.kill().await
    }
}
