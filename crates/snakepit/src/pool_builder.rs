//! The configuration of one pool in code.

#[cfg(feature = "process")]
use std::num::NonZeroU16;
#[cfg(feature = "process")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use snakepit_core::pool::FirstStart;
use snakepit_core::worker::Adapter;

use crate::adapted;
use crate::shutdown::Host;
use crate::source::Source;
use crate::with_state::WithState;
use crate::{
    Affinity, BreakerPolicy, BuildError, HealthConfig, HeartbeatConfig, HostState, Pool,
    PoolConfig, PoolName, QuarantinePolicy, RecycleConfig, RetryPolicy, TimeoutProfile, ToolConfig,
    WorkerProfile,
};
#[cfg(feature = "process")]
use crate::{ContainmentMode, ErrorCode, EventLoop, PythonConfig, PythonProfile};

/// One pool: its limits and the kind of its workers.
#[derive(Clone, Debug)]
pub struct PoolBuilder {
    config: PoolConfig,
    source: Source,
    adapter: Option<Arc<dyn Adapter>>,
    location: Option<String>,
}

impl PoolBuilder {
    /// Creates a pool of workers that `profile` starts.
    pub fn with_profile(config: PoolConfig, profile: Arc<dyn WorkerProfile>) -> Self {
        Self::of_source(config, Source::Profile(profile))
    }

    pub(crate) const fn of_source(config: PoolConfig, source: Source) -> Self {
        Self {
            config,
            source,
            adapter: None,
            location: None,
        }
    }

    #[cfg(feature = "command")]
    pub(crate) const fn source(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Checks and converts the calls of this pool by an adapter, whatever its workers are. Its
    /// [`command_timeout`](Adapter::command_timeout)s apply to tools without a time-out of their
    /// own in the settings of the pool.
    #[must_use]
    pub fn adapted(mut self, adapter: Arc<dyn Adapter>) -> Self {
        self.adapter = Some(adapter);
        self
    }

    /// Returns the name of the pool.
    pub const fn name(&self) -> &PoolName {
        &self.config.name
    }

    /// Sets the number of workers.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// Sets the number of calls that may wait for a worker.
    #[must_use]
    pub const fn queue_limit(mut self, calls: usize) -> Self {
        self.config.queue_limit = calls;
        self
    }

    /// Sets the time that a call may wait for a worker.
    #[must_use]
    pub const fn queue_timeout(mut self, timeout: Duration) -> Self {
        self.config.queue_timeout = timeout;
        self
    }

    /// Sets the time for a whole call, including the queue. `None` for no limit.
    #[must_use]
    pub fn call_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.call_timeout = timeout.into();
        self
    }

    /// Sets the time for a whole streaming call, including the queue. `None` for no limit.
    #[must_use]
    pub fn stream_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.config.stream_timeout = timeout.into();
        self
    }

    /// Sets the times of calls, streams and the queue together. Later settings override it.
    #[must_use]
    pub const fn timeout_profile(mut self, profile: TimeoutProfile) -> Self {
        profile.apply(&mut self.config);
        self
    }

    /// Changes the settings of one tool.
    #[must_use]
    pub fn tool(mut self, name: impl Into<String>, change: impl FnOnce(&mut ToolConfig)) -> Self {
        change(self.config.tools.entry(name.into()).or_default());
        self
    }

    /// Sets how strictly the calls of a session are bound to one worker.
    #[must_use]
    pub const fn affinity(mut self, affinity: Affinity) -> Self {
        self.config.affinity = affinity;
        self
    }

    /// Sets the time in which a worker must become ready.
    #[must_use]
    pub const fn start_timeout(mut self, timeout: Duration) -> Self {
        self.config.start_timeout = timeout;
        self
    }

    /// Rejects calls that repeatedly kill workers, for a while.
    #[must_use]
    pub fn quarantine(mut self, policy: QuarantinePolicy) -> Self {
        self.config.quarantine = Some(policy);
        self
    }

    /// Fails calls at once while workers keep failing.
    #[must_use]
    pub fn breaker(mut self, policy: BreakerPolicy) -> Self {
        self.config.breaker = Some(policy);
        self
    }

    /// Fails calls of a tool at once while workers keep failing in it.
    #[must_use]
    pub fn tool_breaker(mut self, policy: BreakerPolicy) -> Self {
        self.config.tool_breaker = Some(policy);
        self
    }

    /// Retries calls whose worker died, if that is safe.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.config.retry = Some(policy);
        self
    }

    /// Sets the limit of one payload in bytes, for each direction.
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.config.max_payload = bytes;
        self
    }

    /// Changes the settings by which live workers are replaced.
    #[must_use]
    pub fn recycle(mut self, change: impl FnOnce(&mut RecycleConfig)) -> Self {
        change(&mut self.config.recycle);
        self
    }

    /// Changes the settings of the heartbeat.
    #[must_use]
    pub fn heartbeat(mut self, change: impl FnOnce(&mut HeartbeatConfig)) -> Self {
        change(&mut self.config.heartbeat);
        self
    }

    /// Changes the settings of the workers' health checks.
    #[must_use]
    pub fn health(mut self, change: impl FnOnce(&mut HealthConfig)) -> Self {
        change(&mut self.config.health);
        self
    }

    /// Sets a tool that each new worker runs, without arguments, before it receives calls.
    #[must_use]
    pub fn warm_up(mut self, tool: impl Into<String>) -> Self {
        self.config.warm_up = Some(tool.into());
        self
    }

    /// Changes any setting of the pool.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut PoolConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Returns the settings of the pool.
    pub const fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Sets the file or the variable that holds the settings, for errors.
    #[cfg(feature = "config")]
    pub(crate) fn located(mut self, location: Option<String>) -> Self {
        self.location = location;
        self
    }

    /// Returns whether the workers are recorded in the run of the host.
    pub(crate) const fn needs_run(&self) -> bool {
        match &self.source {
            #[cfg(feature = "process")]
            Source::Python(python, _) => python.data_dir.is_none(),
            #[cfg(feature = "command")]
            Source::Command(command) => command.data_dir.is_none(),
            #[cfg(feature = "process")]
            Source::Factory(_) => true,
            Source::Profile(_) => false,
        }
    }

    /// Returns the state that the pool's own profile carries.
    pub(crate) fn own_state(&self) -> Option<HostState> {
        match &self.source {
            #[cfg(feature = "process")]
            Source::Python(..) => None,
            #[cfg(feature = "command")]
            Source::Command(_) => None,
            #[cfg(feature = "process")]
            Source::Factory(_) => None,
            Source::Profile(profile) => profile.state(),
        }
    }

    /// Checks the settings.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let checked = self.config.validate();
        #[cfg(feature = "process")]
        let checked = checked.and_then(|()| match &self.source {
            Source::Python(_, profile) => profile.check(),
            _ => Ok(()),
        });
        checked.map_err(|error| BuildError::in_pool(error, self.name(), self.location.clone()))
    }

    /// Starts the pool; its workers start in the background. While [`FirstStart`] lives, a worker
    /// that fails to start fails the pool.
    pub(crate) async fn start(mut self, host: &Host) -> Result<(Pool, FirstStart), BuildError> {
        self.check()?;
        let name = self.config.name.clone();
        let mut profile = self.source.profile(&name, host).await?;
        if let Some(adapter) = self.adapter {
            profile = adapted::apply(adapter, &mut self.config, profile);
        }
        let profile = Arc::new(WithState::new(profile, host.state().clone()));
        let budget = &mut self.config.recycle.budget;
        budget.get_or_insert_with(|| host.recycle_budget().clone());
        Pool::start_or_fail(self.config, profile)
            .map_err(|error| BuildError::in_pool(error, &name, self.location))
    }
}

#[cfg(feature = "process")]
impl PoolBuilder {
    /// Creates a pool of Python workers that serve the tools of `adapter`: `path/to/tools.py`,
    /// `package.module` or `package.module:Class`.
    pub fn new(name: impl Into<PoolName>, adapter: impl Into<String>) -> Self {
        let python = Box::new(PythonConfig::new(adapter));
        let source = Source::Python(python, PythonProfile::Process);
        Self::of_source(PoolConfig::new(name), source)
    }

    /// Sets the Python interpreter. Without it, the interpreter is discovered.
    #[must_use]
    pub fn python(self, interpreter: impl Into<PathBuf>) -> Self {
        self.configure_python(|python| python.interpreter = Some(interpreter.into()))
    }

    /// Sets the working directory of the workers.
    #[must_use]
    pub fn working_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        match &mut self.source {
            Source::Python(python, _) => python.working_dir = Some(dir.into()),
            #[cfg(feature = "command")]
            Source::Command(command) => command.working_dir = Some(dir.into()),
            Source::Factory(_) | Source::Profile(_) => {}
        }
        self
    }

    /// Adds a directory to the workers' module search path.
    #[must_use]
    pub fn python_path(self, dir: impl Into<PathBuf>) -> Self {
        self.configure_python(|python| python.python_path.push(dir.into()))
    }

    /// Sets a variable in the workers' environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let env = match &mut self.source {
            Source::Python(python, _) => &mut python.env,
            #[cfg(feature = "command")]
            Source::Command(command) => &mut command.env,
            Source::Factory(_) | Source::Profile(_) => return self,
        };
        env.insert(name.into(), value.into());
        self
    }

    /// Sets the number of threads that numeric libraries in one worker may use.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        self.configure_python(|python| python.threads = threads)
    }

    /// Sets whether an adapter with a type hint that is not checked is refused, with file, line,
    /// parameter and reason. Otherwise the worker's log names such hints. Overrides the variable
    /// `SNAKEPIT_STRICT_HINTS`.
    #[must_use]
    pub fn strict_hints(self, strict: bool) -> Self {
        self.configure_python(|python| python.strict_hints = Some(strict))
    }

    /// Sets how calls are distributed over Python processes. Default: one call per process. Has no
    /// effect on a pool created [with a profile](Self::with_profile).
    #[must_use]
    pub fn profile(mut self, profile: PythonProfile) -> Self {
        if let Source::Python(_, own) = &mut self.source {
            *own = profile;
        }
        self
    }

    /// Sets the number of calls that one worker runs concurrently, as tasks of one event loop; 0
    /// disables it. Tools that are not asynchronous run on a thread beside the loop, one at a time.
    #[must_use]
    pub fn concurrency(self, calls: u16) -> Self {
        self.configure_python(|python| python.concurrency = NonZeroU16::new(calls))
    }

    /// Sets the event loop of workers with a [`concurrency`](Self::concurrency).
    #[must_use]
    pub fn event_loop(self, event_loop: EventLoop) -> Self {
        self.configure_python(|python| python.event_loop = event_loop)
    }

    /// Sets how processes that workers start are contained; see [`ContainmentMode`].
    #[must_use]
    pub fn containment(mut self, mode: ContainmentMode) -> Self {
        match &mut self.source {
            Source::Python(python, _) => python.containment = mode,
            #[cfg(feature = "command")]
            Source::Command(command) => command.containment = mode,
            Source::Factory(_) | Source::Profile(_) => {}
        }
        self
    }

    /// Changes any setting of the Python workers. Has no effect on other pools.
    #[must_use]
    pub fn configure_python(mut self, change: impl FnOnce(&mut PythonConfig)) -> Self {
        if let Source::Python(python, _) = &mut self.source {
            change(python);
        }
        self
    }

    /// Rejects an empty adapter, which would load the current directory.
    pub(crate) fn check_adapter(&self) -> Result<(), BuildError> {
        match &self.source {
            Source::Python(python, _) if python.adapter.trim().is_empty() => {
                Err(BuildError::in_pool(
                    crate::error::config_error(
                        ErrorCode::InvalidConfig,
                        "adapter",
                        "is empty",
                        "name a file such as tools.py, or a module",
                    ),
                    self.name(),
                    self.location.clone(),
                ))
            }
            _ => Ok(()),
        }
    }
}
