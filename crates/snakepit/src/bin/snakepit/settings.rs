//! Settings of the pool of a command: its options over those of the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use snakepit::{Config, ErrorCode, PoolBuilder};

use crate::cli::PoolOptions;
use crate::failure::Failure;
use crate::words::Workers;

/// Prefixes of the variables that set up pools.
const PREFIXES: [&str; 2] = ["SNAKEPIT_POOLS__", "SNAKEPIT_DEFAULTS__"];

/// The settings of [`of_the_program`] as variables.
const DEFAULTS: [(&str, &str); 8] = [
    ("WORKERS", "1"),
    ("CALL_TIMEOUT", "none"),
    ("STREAM_TIMEOUT", "none"),
    ("DRAIN_TIMEOUT", "0s"),
    ("STOP_GRACE", "2s"),
    ("CANCEL_GRACE", "0s"),
    ("TIMEOUT_STACKS", "400ms"),
    ("RESTART__MAX_RESTARTS", "1"),
];

/// Returns the variables that set up pools.
fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let known = |(name, _): &(String, String)| PREFIXES.iter().any(|it| name.starts_with(it));
    std::env::vars_os().filter_map(text).filter(known).collect()
}

/// Rejects variables that set up pools, for a command whose pools take no settings.
pub(crate) fn refuse(command: &str) -> Result<(), Failure> {
    let Some((name, _)) = variables().pop_first() else {
        return Ok(());
    };
    Err(Failure::usage(
        ErrorCode::InvalidConfig,
        format!("`{name}` is set, and `snakepit {command}` does not accept settings of pools"),
        format!("unset it: env -u {name} snakepit {command}"),
    ))
}

/// Returns the pool `name` with the settings of the environment and the options.
pub(crate) fn pool(
    name: &str,
    workers: Workers,
    options: &PoolOptions,
) -> Result<PoolBuilder, Failure> {
    let given = variables();
    let mut pool = if given.is_empty() {
        of_the_program(match &workers {
            Workers::Adapter(adapter) => PoolBuilder::new(name, adapter),
            Workers::Command(command) => PoolBuilder::command(name, command.words.clone()),
        })
    } else {
        of_the_environment(name, &workers, given)?
    };
    if let Workers::Command(command) = workers {
        pool = command.apply(pool);
        if let Some(python) = &options.python.python {
            return Err(Failure::usage(
                ErrorCode::WrongUsage,
                format!("`--python {}` is given, and a command", python.display()),
                "name the interpreter in the command",
            ));
        }
    }
    if let Some(workers) = options.workers {
        pool = pool.workers(workers);
    }
    if let Some(python) = &options.python.python {
        pool = pool.python(python);
    }
    let inherit = |names: &mut Vec<String>| {
        if !options.clean_env && names.is_empty() {
            names.push("*".to_owned());
        }
    };
    let pool = pool.configure_python(|python| inherit(&mut python.inherit_env));
    Ok(pool.configure_command(|command| inherit(&mut command.inherit_env)))
}

/// Sets what differs from the library: the user limits calls with `--timeout`, and the program does
/// not wait for workers at its end.
fn of_the_program(pool: PoolBuilder) -> PoolBuilder {
    pool.workers(1)
        .call_timeout(None)
        .stream_timeout(None)
        .configure(|config| {
            config.drain_timeout = Duration::ZERO;
            config.stop_grace = Duration::from_secs(2);
            config.cancel_grace = Duration::ZERO;
            config.restart.max_restarts = 1;
            config.timeout_stacks = Duration::from_millis(400);
        })
}

/// Lays the variables over the settings of [`of_the_program`].
fn of_the_environment(
    name: &str,
    workers: &Workers,
    mut given: BTreeMap<String, String>,
) -> Result<PoolBuilder, Failure> {
    // A profile of time-outs in the environment sets them together.
    let profile = given.keys().any(|name| name.ends_with("__TIMEOUT_PROFILE"));
    let mut settings: BTreeMap<_, _> = DEFAULTS
        .iter()
        .filter(|(key, _)| !(profile && key.contains("TIMEOUT")))
        .map(|(key, value)| (format!("SNAKEPIT_DEFAULTS__{key}"), (*value).to_owned()))
        .collect();
    settings.append(&mut given);
    let own = format!("SNAKEPIT_POOLS__{}__", name.to_uppercase());
    let other = |variable: &&String| {
        variable.starts_with("SNAKEPIT_POOLS__") && !variable.starts_with(&own)
    };
    if let Some(other) = settings.keys().find(other) {
        return Err(Failure::usage(
            ErrorCode::InvalidConfig,
            format!("`{other}` sets up a pool that this command does not have"),
            format!("unset it, or name the pool `{name}`: {own}…"),
        ));
    }
    let (key, value) = match workers {
        Workers::Adapter(adapter) => ("ADAPTER", adapter.clone()),
        // The words are set later: not every text can be an item of a list in a variable.
        Workers::Command(_) => ("COMMAND", "[command]".to_owned()),
    };
    settings.insert(format!("{own}{key}"), value);
    let mut config = Config::from_sources(None, settings)?;
    Ok(config.pools.remove(0))
}
