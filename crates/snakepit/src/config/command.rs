//! Pools of any executables, from their settings.

use std::path::Path;

use super::raw::{self, RawPool};
use crate::{BuildError, ErrorCode, PoolBuilder, PoolConfig, PoolName};

/// Creates a pool from its own settings and the defaults for all pools.
pub(super) fn build(
    name: String,
    own: RawPool,
    defaults: &RawPool,
    location: Option<String>,
) -> Result<PoolBuilder, BuildError> {
    let name = PoolName::from(name);
    let invalid = |key: &str, message: String, help: &str| {
        let error = crate::error::config_error(ErrorCode::InvalidConfig, key, message, help);
        BuildError::in_pool(error, &name, location.clone())
    };
    // Those among the defaults are for the other pools.
    if let Some(key) = python_key(&own) {
        let message = "is for Python workers, and the pool has a `command`".to_owned();
        return Err(invalid(key, message, "remove one of the two"));
    }
    let raw = own.over(defaults);
    let words = raw.command.unwrap_or_default();
    let Some(first) = words
        .first()
        .filter(|word| !word.original().as_os_str().is_empty())
    else {
        let help = "write for example command = [\"node\", \"worker.js\"]";
        return Err(invalid("command", "is empty".to_owned(), help));
    };
    let ready = raw
        .ready
        .and_then(|ready| ready.0)
        .map(|ready| ready.parse());
    let ready = ready
        .transpose()
        .map_err(|message| invalid("ready", message, "leave it out to accept every sign"))?;
    // As adapters, commands are relative to their file.
    let home = first
        .metadata_path()
        .and_then(Path::parent)
        .map(Path::to_owned);
    let home = home.filter(|home| !home.as_os_str().is_empty());
    let working_dir = raw
        .working_dir
        .filter(raw::is_set)
        .map(|dir| dir.relative());
    let mut config = PoolConfig::new(name.clone());
    raw.limits.apply(&mut config);
    let text = |word: &figment::value::magic::RelativePathBuf| {
        word.original().to_string_lossy().into_owned()
    };
    let pool = PoolBuilder::command(config.name.clone(), words.iter().map(text))
        .configure(|target| *target = config)
        .configure_command(|command| {
            command.working_dir = working_dir.or(home);
            command.env = raw.env.unwrap_or_default();
            command.inherit_env = raw.inherit_env.unwrap_or_default();
            command.dependent = raw.dependent.unwrap_or(command.dependent);
            command.containment = raw.containment.unwrap_or(command.containment);
            command.slots = raw.slots.and_then(|slots| slots.0).unwrap_or(command.slots);
            command.ready = ready.unwrap_or_default();
        })
        .located(location);
    pool.check()?;
    Ok(pool)
}

/// Returns a key that only pools of Python workers have.
fn python_key(own: &RawPool) -> Option<&'static str> {
    let keys = [
        ("adapter", own.adapter.is_some()),
        ("profile", own.profile.is_some()),
        ("python", own.python.is_some()),
        ("python_path", own.python_path.is_some()),
        ("threads", own.threads.is_some()),
        ("threads_per_worker", own.threads_per_worker.is_some()),
        ("thread_safety_checks", own.thread_safety_checks.is_some()),
        ("strict_hints", own.strict_hints.is_some()),
        ("concurrency", own.concurrency.is_some()),
        ("event_loop", own.event_loop.is_some()),
    ];
    keys.into_iter().find_map(|(key, set)| set.then_some(key))
}
