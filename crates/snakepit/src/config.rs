//! Pools configured by a file and by the environment.

#[cfg(feature = "command")]
mod command;
mod env;
mod health;
mod heartbeat;
mod maybe;
mod policies;
mod problem;
mod raw;
mod recycle;
mod table;
#[cfg(feature = "telemetry")]
mod telemetry;

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Toml};

use self::env::Variables;
use self::raw::{RawConfig, RawPool};
use crate::text::nearest;
use crate::{BuildError, HostStateConfig, PoolBuilder, PoolConfig, PoolName, PythonProfile};

/// Pools configured by `snakepit.toml` and `SNAKEPIT_*` variables.
///
/// ```toml
/// default_pool = "main"
/// data_dir = "state"         # where workers are recorded; relative to this file
/// admin = true               # feature `diag`: `snakepit status` and others may query this host
///
/// [sessions]                 # limits of the state of sessions
/// ttl = "30m"
///
/// [host_tools]               # limits of calls from tools into this program
/// max_depth = 8
///
/// [telemetry]                # feature `telemetry`; OTEL_* variables override it
/// otlp = "http://localhost:4317"
/// prometheus = "127.0.0.1:9464"
///
/// [defaults]                 # for every pool
/// workers = 4
/// timeout_profile = "production_strict"  # keys of single times override it
/// call_timeout = "30s"
/// strict_hints = true        # a parameter whose type hint is not checked is an error
///
/// [pools.main]
/// adapter = "tools.py"       # relative to this file
///
/// [pools.gpu]
/// adapter = "models.serving:Serving"
/// workers = 1
/// max_payload = "512MiB"
/// env = { CUDA_VISIBLE_DEVICES = "0" }
///
/// [pools.shared]
/// adapter = "shared.py"
/// profile = "thread"         # several calls in one process, each on a thread of its own
/// threads_per_worker = 16
/// thread_safety_checks = "strict"   # require `__thread_safe__ = True`; default "warn"
///
/// [pools.node]                # feature `command`: any executable that serves gRPC
/// command = ["node", "worker.js"]   # runs in the directory of this file, or in `working_dir`
/// slots = 4                  # calls that one worker runs at the same time
/// ready = "socket"           # or "file", "line", an address; default "any"
///
/// [pools.gpu.restart]
/// max_restarts = 3
///
/// [pools.gpu.tools.train]    # one tool; the caller's options override it
/// timeout = "20m"
/// idempotent = true          # may be retried
///
/// [pools.gpu.autoscale]      # 1 to 4 workers, by the time that calls wait
/// max = 4
/// target_delay = "100ms"
///
/// [pools.gpu.quarantine]     # a table enables its policy; also breaker, tool_breaker and retry
/// deaths = 2
///
/// [pools.gpu.recycle]        # replacement of live workers
/// max_requests = 10000
/// max_age = "12h"
/// max_memory = "4GiB"        # all processes of a worker together
/// mode = "in_place"          # the GPU has no memory for two
///
/// [pools.gpu.heartbeat]      # liveness checks
/// interval = "5s"
/// stall_timeout = "10m"      # longest time of a call without CPU use
///
/// [pools.gpu.health]         # `health` methods of the adapters
/// interval = "1m"
/// failures = 2
/// ```
///
/// A variable names a key with `__` between its parts: `SNAKEPIT_POOLS__MAIN__WORKERS=2`. Variables
/// override the file; pool names and keys in them are lower-case. Durations are `"250ms"`,
/// `"1.5s"`, `"2m"`, `"1d"` or a number of seconds; sizes are `"64MiB"` or a number of bytes.
///
/// The word `"none"` unsets an optional setting, also one from `[defaults]`: `call_timeout =
/// "none"`, `retry = "none"`, `recycle = { max_age = "none" }`, `python = "none"`.
///
/// These `SNAKEPIT_*` variables are not keys and are ignored here:
/// - `SNAKEPIT_PYTHON`, `SNAKEPIT_BRIDGE` and `SNAKEPIT_LOG`;
/// - those of [`WORKER_SETTINGS`](snakepit_profiles::variables::WORKER_SETTINGS), which workers
///   read themselves;
/// - `SNAKEPIT_WORKER_*`, with which a host starts a worker, so that a program can run inside a
///   tool;
/// - those that Kubernetes sets for a service named `snakepit` (`SNAKEPIT_PORT=tcp://…`,
///   `SNAKEPIT_SERVICE_HOST`);
/// - those of the original library (`SNAKEPIT_HEARTBEAT_CONFIG` and others).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// The pools, sorted by name.
    pub pools: Vec<PoolBuilder>,
    /// The pool for calls that name none.
    pub default_pool: Option<PoolName>,
    /// Directory where workers are recorded.
    pub data_dir: Option<PathBuf>,
    /// Enables the admin socket, on which processes of this user query the host. `None` if not
    /// configured, which means enabled.
    #[cfg(feature = "diag")]
    pub admin: Option<bool>,
    /// Limits of sessions and host tools.
    pub state: HostStateConfig,
    /// Exporters, which start and end with the host. `None` without a table `telemetry`, or if it
    /// is disabled.
    #[cfg(feature = "telemetry")]
    pub telemetry: Option<snakepit_telemetry::TelemetryConfig>,
}

impl Config {
    /// Reads a file and the `SNAKEPIT_*` variables of this process.
    ///
    /// # Errors
    /// [`BuildError`] with the file or variable and the key.
    pub fn load(file: impl AsRef<Path>) -> Result<Self, BuildError> {
        Self::from_sources(Some(file.as_ref()), process_variables())
    }

    /// Reads only the `SNAKEPIT_*` variables of this process.
    ///
    /// # Errors
    /// [`BuildError`] with the variable and the key.
    pub fn from_env() -> Result<Self, BuildError> {
        Self::from_sources(None, process_variables())
    }

    /// Reads a file, if given, and the caller's variables. Variables without the prefix `SNAKEPIT_`
    /// are ignored.
    ///
    /// # Errors
    /// [`BuildError`] with the file or variable and the key.
    pub fn from_sources(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BuildError> {
        let variables: Vec<_> = variables.into_iter().collect();
        let mut figment = Figment::new();
        if let Some(file) = file {
            let text = std::fs::read_to_string(file).map_err(|error| BuildError::File {
                path: file.to_owned(),
                reason: error.to_string(),
            })?;
            problem::check_syntax(file, &text)?;
            figment = figment.merge(Toml::file_exact(file));
        }
        let figment = figment.merge(Variables::new(variables.iter().cloned()));
        let raw: RawConfig = figment
            .extract()
            .map_err(|error| problem::explain(&figment, file, &error))?;
        let mut pools = Vec::with_capacity(raw.pools.len());
        for (name, pool) in raw.pools {
            let location = problem::location(&figment, &format!("pools.{name}"));
            #[cfg(feature = "command")]
            if pool.command.is_some() {
                pools.push(command::build(name, pool, &raw.defaults, location)?);
                continue;
            }
            pools.push(build(name, pool.over(&raw.defaults), location)?);
        }
        let mut state = HostStateConfig::new();
        raw.sessions.apply(&mut state.sessions);
        raw.host_tools.apply(&mut state.tools);
        let checked = state.sessions.validate().and(state.tools.validate());
        checked.map_err(|error| {
            let location = problem::location(&figment, &error.key);
            BuildError::Config { error, location }
        })?;
        #[cfg(feature = "telemetry")]
        let telemetry = exporters(raw.telemetry, &variables, &figment)?;
        Ok(Self {
            #[cfg(feature = "telemetry")]
            telemetry,
            #[cfg(feature = "diag")]
            admin: raw.admin,
            state,
            pools,
            default_pool: raw.default_pool.and_then(|pool| pool.0).map(PoolName::from),
            data_dir: raw
                .data_dir
                .filter(raw::is_set)
                .map(|dir| dir.relative())
                .filter(|dir| !dir.as_os_str().is_empty()),
        })
    }
}

/// Returns the settings of the exporters. Standard `OTEL_*` variables override the table; without a
/// table they are ignored.
#[cfg(feature = "telemetry")]
fn exporters(
    raw: Option<telemetry::RawTelemetry>,
    variables: &[(String, String)],
    figment: &Figment,
) -> Result<Option<snakepit_telemetry::TelemetryConfig>, BuildError> {
    let Some(mut config) = raw.and_then(telemetry::RawTelemetry::config) else {
        return Ok(None);
    };
    config
        .change_by(variables.iter().cloned())
        .map_err(|error| BuildError::Config {
            error,
            location: None,
        })?;
    config.validate().map_err(|mut error| {
        error.key = format!("telemetry.{}", error.key);
        let location = problem::location(figment, &error.key);
        BuildError::Config { error, location }
    })?;
    Ok(Some(config))
}

fn process_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Creates a pool from its settings.
fn build(name: String, raw: RawPool, location: Option<String>) -> Result<PoolBuilder, BuildError> {
    let invalid = |key: &str, message: String, help: &str| {
        let error = crate::error::config_error(crate::ErrorCode::InvalidConfig, key, message, help);
        BuildError::in_pool(error, &PoolName::from(name.as_str()), location.clone())
    };
    if raw.command.is_some() {
        let message = "needs the feature `command` of the library".to_owned();
        return Err(invalid("command", message, "build the program with it"));
    }
    let of_commands = [
        ("slots", raw.slots.is_some()),
        ("ready", raw.ready.is_some()),
    ];
    if let Some((key, _)) = of_commands.into_iter().find(|(_, set)| *set) {
        let message = "is for pools with a `command`".to_owned();
        return Err(invalid(key, message, "remove it, or set `command`"));
    }
    let threads = raw.threads_per_worker.and_then(|threads| threads.0);
    let profile = match (raw.profile.as_deref(), threads) {
        (None | Some("process"), None) => PythonProfile::Process,
        (Some("thread"), Some(threads_per_worker)) => PythonProfile::Thread { threads_per_worker },
        (Some("thread"), None) => {
            let help = "add for example threads_per_worker = 16";
            return Err(invalid("threads_per_worker", "is missing".to_owned(), help));
        }
        (None | Some("process"), Some(_)) => {
            let message = "is for the profile \"thread\"".to_owned();
            return Err(invalid(
                "threads_per_worker",
                message,
                "add profile = \"thread\"",
            ));
        }
        (Some(other), _) => {
            let message = format!("must be \"process\" or \"thread\", got \"{other}\"");
            let help = nearest(other, ["process", "thread"]).map_or_else(
                || "leave it out for \"process\"".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(invalid("profile", message, &help));
        }
    };
    let checks = raw.thread_safety_checks.map(|checks| checks.parse());
    let checks = checks.transpose().map_err(|message: String| {
        invalid("thread_safety_checks", message, "leave it out for \"warn\"")
    })?;
    let Some(adapter) = raw.adapter else {
        return Err(invalid(
            "adapter",
            "is missing".to_owned(),
            "add for example adapter = \"tools.py\"",
        ));
    };
    let mut config = PoolConfig::new(name);
    raw.limits.apply(&mut config);
    let pool = PoolBuilder::new(config.name.clone(), raw::adapter(&adapter));
    let pool = pool
        .configure(|target| *target = config)
        .profile(profile)
        .configure_python(|python| {
            python.interpreter = raw.python.filter(raw::is_set).as_ref().map(raw::program);
            let working_dir = raw.working_dir.filter(raw::is_set);
            python.working_dir = working_dir.map(|dir| dir.relative());
            let paths = raw.python_path.into_iter().flatten();
            python.python_path = paths.map(|dir| dir.relative()).collect::<Vec<PathBuf>>();
            python.env = raw.env.unwrap_or_default();
            python.inherit_env = raw.inherit_env.unwrap_or_default();
            python.dependent = raw.dependent.unwrap_or(python.dependent);
            python.containment = raw.containment.unwrap_or(python.containment);
            python.threads = raw.threads.unwrap_or(python.threads);
            python.thread_safety_checks = checks.unwrap_or(python.thread_safety_checks);
            python.strict_hints = raw.strict_hints.and_then(|strict| strict.0);
            python.concurrency = raw.concurrency.and_then(|calls| calls.0);
            python.event_loop = raw.event_loop.unwrap_or(python.event_loop);
        });
    let pool = pool.located(location);
    pool.check()?;
    Ok(pool)
}

#[cfg(test)]
mod tests;
