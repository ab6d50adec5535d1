//! Pools configured by a file and by the environment.

mod env;
mod fields;
mod keys;
mod pool;
mod position;
mod problem;
mod reader;
mod settings;
#[cfg(feature = "telemetry")]
mod telemetry;

use std::path::{Path, PathBuf};

use self::keys::FileKeys;
use self::settings::Settings;
use crate::{BuildError, HostStateConfig, PoolBuilder, PoolName};

/// Pools configured by `snakepit.toml` and `SNAKEPIT_*` variables.
///
/// ```toml
#[doc = include_str!("../examples/snakepit.toml")]
/// ```
///
/// A variable names a key with `__` between its parts: `SNAKEPIT_POOLS__MAIN__WORKERS=2`. Variables
/// override the file; pool names and keys in them are lower-case. Durations are `"250ms"`,
/// `"1.5s"`, `"2m"`, `"1d"` or a number of seconds; sizes are `"64MiB"` or a number of bytes.
///
/// The word `"none"` unsets a setting, also one from `[defaults]`: `call_timeout = "none"`,
/// `retry = "none"`, `recycle = { max_age = "none" }`. An optional setting then has no value, any
/// other its default. `docs/configuration.md` lists all keys, and `docs/snakepit.schema.json` is
/// the schema for editors.
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
        let settings = Settings::new(file, variables.iter().cloned())?;
        let root = settings.root();
        let keys: FileKeys = settings.read(&[], root.clone())?;
        pool::check_defaults(&settings)?;
        let names = keys.pools.keys();
        let pools = names.map(|name| pool::build(&settings, name));
        let pools = pools.collect::<Result<_, _>>()?;
        let mut state = HostStateConfig::new();
        state.sessions = keys.sessions;
        state.tools = keys.host_tools;
        let checked = state.sessions.validate().and(state.tools.validate());
        checked.map_err(|error| settings.locate(&[], error.into()))?;
        #[cfg(feature = "telemetry")]
        let telemetry = exporters(keys.telemetry, &variables, &settings)?;
        let data_dir = keys
            .data_dir
            .map(|dir| settings.resolve(root.get("data_dir"), dir));
        Ok(Self {
            #[cfg(feature = "telemetry")]
            telemetry,
            #[cfg(feature = "diag")]
            admin: keys.admin,
            state,
            pools,
            default_pool: keys.default_pool.map(PoolName::from),
            data_dir: data_dir.filter(|dir| !dir.as_os_str().is_empty()),
        })
    }
}

/// Returns the settings of the exporters. Standard `OTEL_*` variables override the table; without a
/// table they are ignored.
#[cfg(feature = "telemetry")]
fn exporters(
    keys: Option<telemetry::TelemetryKeys>,
    variables: &[(String, String)],
    settings: &Settings,
) -> Result<Option<snakepit_telemetry::TelemetryConfig>, BuildError> {
    let Some(mut keys) = keys else {
        return Ok(None);
    };
    let table = settings.table(&["telemetry"]);
    for (name, file) in [
        ("certificate", &mut keys.certificate),
        ("client_certificate", &mut keys.client_certificate),
        ("client_key", &mut keys.client_key),
    ] {
        let own = file.take();
        *file = own.map(|own| settings.resolve(table.get(name), own));
    }
    let Some(mut config) = keys.config() else {
        return Ok(None);
    };
    config.change_by(variables.iter().cloned())?;
    config.validate().map_err(|mut error| {
        error.key = format!("telemetry.{}", error.key);
        settings.locate(&[], error.into())
    })?;
    Ok(Some(config))
}

fn process_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests;
