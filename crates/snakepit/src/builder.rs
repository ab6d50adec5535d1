//! The builder of a host, and its start.

#[cfg(feature = "process")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

#[cfg(feature = "config")]
use crate::Config;
#[cfg(feature = "process")]
use snakepit_profiles::Run;

use crate::shutdown::Host;
use crate::text::nearest;
use crate::{
    BuildError, ErrorCode, HostState, HostStateConfig, HostTool, Pool, PoolBuilder, PoolConfig,
    PoolName, Snakepit, WorkerProfile,
};

/// Name of the pool that [`SnakepitBuilder::adapter`] adds.
const MAIN: &str = "main";

/// Configures pools and starts them; created by [`Snakepit::builder`].
#[derive(Debug, Default)]
#[must_use = "nothing runs before `start`"]
pub struct SnakepitBuilder {
    pools: Vec<PoolBuilder>,
    #[cfg(feature = "config")]
    files: Vec<PathBuf>,
    default_pool: Option<PoolName>,
    start_later: bool,
    state: HostStateConfig,
    host_state: Option<HostState>,
    tools: Vec<HostTool>,
    #[cfg(feature = "process")]
    data_dir: Option<PathBuf>,
    #[cfg(feature = "process")]
    run: Option<Run>,
    #[cfg(feature = "telemetry")]
    pub(crate) telemetry: crate::telemetry::Source,
    #[cfg(feature = "diag")]
    pub(crate) admin: Option<bool>,
}

impl SnakepitBuilder {
    /// Adds a pool named `main` of Python workers that serve the tools of `adapter`.
    #[cfg(feature = "process")]
    pub fn adapter(self, adapter: impl Into<String>) -> Self {
        self.pool(PoolBuilder::new(MAIN, adapter))
    }

    /// Adds a pool. The first pool is the default unless [`default_pool`](Self::default_pool) names
    /// another.
    pub fn pool(mut self, pool: PoolBuilder) -> Self {
        self.pools.push(pool);
        self
    }

    /// Adds a pool of workers that `profile` starts.
    pub fn pool_with_profile(self, config: PoolConfig, profile: Arc<dyn WorkerProfile>) -> Self {
        self.pool(PoolBuilder::with_profile(config, profile))
    }

    /// Adds the pools of a configuration.
    ///
    /// Its limits of sessions and host tools replace the limits set before.
    #[cfg(feature = "config")]
    pub fn config(mut self, config: Config) -> Self {
        self.state = config.state;
        self.pools.extend(config.pools);
        self.default_pool = config.default_pool.or(self.default_pool);
        #[cfg(feature = "process")]
        {
            self.data_dir = self.data_dir.or(config.data_dir);
        }
        #[cfg(feature = "diag")]
        {
            self.admin = self.admin.or(config.admin);
        }
        #[cfg(feature = "telemetry")]
        if let Some(config) = config.telemetry
            && !matches!(self.telemetry, crate::telemetry::Source::Given(_))
        {
            self.telemetry = crate::telemetry::Source::Config(Box::new(config));
        }
        self
    }

    /// Adds the pools of a configuration file; `SNAKEPIT_*` variables override its settings.
    /// [`start`](Self::start) reads the file.
    #[cfg(feature = "config")]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Names the pool for calls that name none.
    pub fn default_pool(mut self, name: impl Into<PoolName>) -> Self {
        self.default_pool = Some(name.into());
        self
    }

    /// Sets the directory where workers are recorded, so that the next start can clean up after a
    /// crash. Several hosts may share it. The default is `$SNAKEPIT_DATA_DIR`,
    /// `$XDG_STATE_HOME/snakepit` or `~/.local/state/snakepit`.
    #[cfg(feature = "process")]
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// Records the workers in this run instead of a new one. Profiles built with the run then
    /// belong to this host, and shutting down closes the run.
    #[cfg(feature = "process")]
    pub fn run(mut self, run: Run) -> Self {
        self.run = Some(run);
        self
    }

    /// Uses this state, with its own limits, instead of a new one. A pool whose profile carries a
    /// state has the same effect; all states must be the same one. Shutting down closes the state.
    pub fn host_state(mut self, state: HostState) -> Self {
        self.host_state = Some(state);
        self
    }

    /// Changes the limits of sessions and host tools.
    pub fn configure_state(mut self, change: impl FnOnce(&mut HostStateConfig)) -> Self {
        change(&mut self.state);
        self
    }

    /// Registers a function of this program for all sessions. Tools may call it if it is
    /// [exposed](HostTool::exposed). [`Snakepit::host_tools`] registers more at any time.
    pub fn host_tool(mut self, tool: HostTool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Sets whether [`start`](Self::start) waits until all workers are ready. Default: true.
    pub const fn wait_ready(mut self, wait: bool) -> Self {
        self.start_later = !wait;
        self
    }

    /// Starts all pools and waits until their workers are ready. Requires a tokio runtime with
    /// timers and I/O, on which the host then lives. Once that runtime is gone, all calls fail with
    /// [`Error::Closed`](crate::Error::Closed), from any runtime.
    ///
    /// # Errors
    /// [`BuildError`] names the setting, profile or pool that failed. Everything that had started
    /// is stopped first.
    ///
    /// # Cancel safety
    /// Dropping the future stops everything that has started.
    pub async fn start(self) -> Result<Snakepit, BuildError> {
        snakepit_core::runtime::current_runtime().map_err(|error| BuildError::Config {
            error,
            location: None,
        })?;
        #[cfg(feature = "config")]
        let mut this = self.with_files()?;
        #[cfg(not(feature = "config"))]
        let mut this = self;
        let default = this.check()?;
        let wait = !this.start_later;
        // The record of a run that this start opens goes with it if it fails.
        #[cfg(feature = "process")]
        let own_run = this.run.is_none();
        #[cfg(not(feature = "process"))]
        let own_run = true;
        let host = this.host().await?;
        #[cfg(feature = "telemetry")]
        let host = match std::mem::take(&mut this.telemetry).attach(&host) {
            Ok(attached) => host.with_telemetry(attached),
            Err(error) => {
                if own_run {
                    host.kill().await;
                }
                return Err(error);
            }
        };
        #[cfg(feature = "diag")]
        let host = host.with_admin(this.admin.unwrap_or(true));
        let started = join_all(this.pools.into_iter().map(|pool| pool.start(&host))).await;
        let (mut pools, mut starting, mut failure) = (Vec::new(), Vec::new(), None);
        for result in started {
            match result {
                Ok((pool, guard)) => {
                    host.watch(&pool);
                    pools.push(pool);
                    // Without a guard, the pool retries failed starts by its restart policy.
                    starting.extend(wait.then_some(guard));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if failure.is_none() && wait {
            failure = try_join_all(pools.iter().map(ready)).await.err();
        }
        if let Some(error) = failure {
            join_all(pools.iter().map(Pool::close)).await;
            host.end_admin().await;
            if own_run {
                host.kill().await;
            }
            host.end_telemetry().await;
            return Err(error);
        }
        drop(starting);
        Ok(Snakepit::new(pools, &default, host))
    }

    /// Opens the run if a pool needs it.
    async fn host(&mut self) -> Result<Host, BuildError> {
        let state = match self.given_state()? {
            Some(state) => state,
            None => HostState::new(self.state.clone()).map_err(|error| BuildError::Config {
                error,
                location: None,
            })?,
        };
        state
            .tools()
            .register_all(std::mem::take(&mut self.tools))?;
        #[cfg(feature = "process")]
        if let Some(run) = self.run.take() {
            return Ok(Host::with_run(state, run));
        }
        let Some(pool) = self.pools.iter().find(|pool| pool.needs_run()) else {
            return Ok(Host::new(state));
        };
        #[cfg(feature = "process")]
        return Host::open(state, self.data_dir.clone())
            .await
            .map_err(|error| BuildError::Profile {
                pool: pool.name().clone(),
                error: Box::new(error),
            });
        #[cfg(not(feature = "process"))]
        {
            let _ = pool;
            Ok(Host::new(state))
        }
    }

    /// Returns the state set on the builder or carried by a pool's profile. All must be the same
    /// one: tools and callers have to see the same state.
    fn given_state(&self) -> Result<Option<HostState>, BuildError> {
        let mut given = self.host_state.clone();
        for pool in &self.pools {
            let Some(own) = pool.own_state() else {
                continue;
            };
            let known = given.get_or_insert_with(|| own.clone());
            if !known.is_same(&own) {
                return Err(BuildError::setting(
                    ErrorCode::InvalidConfig,
                    format!("pools.{}", pool.name()),
                    "has a profile with a host state of its own, and there is another one",
                    "give all profiles and the builder the same `HostState`",
                ));
            }
        }
        Ok(given)
    }

    #[cfg(feature = "config")]
    fn with_files(mut self) -> Result<Self, BuildError> {
        for path in std::mem::take(&mut self.files) {
            self = self.config(Config::load(&path)?);
        }
        Ok(self)
    }

    /// Checks everything that does not require a start. Returns the name of the default pool.
    fn check(&self) -> Result<PoolName, BuildError> {
        let names: Vec<&str> = self.pools.iter().map(|pool| pool.name().as_str()).collect();
        let Some(first) = self.pools.first() else {
            return Err(BuildError::setting(
                ErrorCode::InvalidConfig,
                "pools",
                "is empty: no pool is configured",
                "add one with `.adapter(\"tools.py\")` or a table `[pools.main]`",
            ));
        };
        for (index, pool) in self.pools.iter().enumerate() {
            if names[..index].contains(&names[index]) {
                return Err(BuildError::setting(
                    ErrorCode::InvalidConfig,
                    format!("pools.{}", names[index]),
                    "is given twice",
                    "give each pool its own name",
                ));
            }
            pool.check()?;
            #[cfg(feature = "process")]
            pool.check_adapter()?;
        }
        let default = match &self.default_pool {
            Some(name) => name.clone(),
            None if names.contains(&MAIN) => PoolName::new(MAIN),
            None => first.name().clone(),
        };
        if names.contains(&default.as_str()) {
            return Ok(default);
        }
        let help = match nearest(default.as_str(), names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the pools are: {}", names.join(", ")),
        };
        let message = format!("names `{default}`, which is not a pool");
        Err(BuildError::setting(
            ErrorCode::UnknownPool,
            "default_pool",
            message,
            help,
        ))
    }
}

/// Waits for one pool. The pool itself bounds each start by `start_timeout`; this bound covers
/// starts that follow one another.
async fn ready(pool: &Pool) -> Result<(), BuildError> {
    let config = pool.config();
    let rounds = config
        .workers
        .div_ceil(config.start_concurrency.max(1))
        .max(1);
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    let budget = config
        .start_timeout
        .saturating_mul(rounds)
        .saturating_add(config.timeout_stacks)
        .saturating_add(Duration::from_secs(2));
    pool.await_all_ready(budget)
        .await
        .map_err(|error| BuildError::Start {
            pool: pool.name().clone(),
            error: Box::new(error),
        })
}
