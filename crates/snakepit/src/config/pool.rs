//! One pool, from its own settings and the defaults of all pools.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use figment::error::Kind;
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::fields::fields;
use super::keys::PoolKeys;
use super::reader::NONE;
use super::settings::Settings;
use crate::error::config_error;
use crate::text::nearest;
use crate::{
    BuildError, ErrorCode, PoolBuilder, PoolConfig, PoolName, PythonConfig, PythonProfile,
};

#[cfg(feature = "command")]
type CommandKeys = snakepit_profiles::CommandConfig;
/// Stands for the settings of commands, so that their keys are known.
#[cfg(not(feature = "command"))]
#[derive(serde::Deserialize)]
struct CommandKeys {
    #[serde(rename = "slots")]
    _slots: Option<u16>,
    #[serde(rename = "ready")]
    _ready: Option<String>,
    #[serde(rename = "runtime")]
    _runtime: Option<String>,
}

/// Tables in which the defaults fill unset keys; any other table replaces that of the defaults.
const FILLED: [&str; 4] = ["restart", "recycle", "heartbeat", "health"];

/// All keys of a pool.
static KNOWN: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let [pool, python, command] = [
        fields::<PoolConfig>(),
        fields::<PythonConfig>(),
        fields::<CommandKeys>(),
    ];
    let mut known = [fields::<PoolKeys>(), pool, python, command].concat();
    known.sort_unstable();
    known.dedup();
    known
});

/// Returns the keys that only pools of Python workers have.
#[cfg(feature = "command")]
fn of_python() -> impl Iterator<Item = &'static str> {
    let shared = fields::<CommandKeys>();
    let python = fields::<PythonConfig>().iter().copied();
    let python = python.filter(|key| !shared.contains(key));
    python.chain(["profile", "threads_per_worker"])
}

/// Returns the keys that only pools of commands have.
fn of_command() -> impl Iterator<Item = &'static str> {
    let shared = fields::<PythonConfig>();
    let command = fields::<CommandKeys>().iter().copied();
    command.filter(|key| !shared.contains(key))
}

/// Checks the names and the types of the defaults.
pub(super) fn check_defaults(settings: &Settings) -> Result<(), BuildError> {
    let pool = Pool {
        settings,
        path: vec!["defaults"],
        table: settings.table(&["defaults"]),
    };
    pool.check_names(&pool.table)?;
    pool.read::<PoolKeys>()?;
    pool.read::<PoolConfig>()?;
    pool.read::<PythonConfig>()?;
    pool.read::<CommandKeys>().map(drop)
}

/// Creates a pool.
pub(super) fn build(settings: &Settings, name: &str) -> Result<PoolBuilder, BuildError> {
    let path = vec!["pools", name];
    let own = settings.table(&path);
    let pool = Pool {
        settings,
        table: filled(settings.table(&["defaults"]), &own),
        path,
    };
    pool.check_names(&own)?;
    let keys: PoolKeys = pool.read()?;
    let config = pool.config(&keys)?;
    let builder = match &keys.command {
        Some(words) => pool.command(words, &own)?,
        None => pool.python(&keys)?,
    };
    let builder = builder
        .configure(|target| *target = config)
        .located(settings.place(&pool.path));
    let checked = builder.check();
    checked.map_err(|error| settings.locate(&pool.path, error))?;
    Ok(builder)
}

/// Returns the settings of a pool with the defaults of all pools below them.
fn filled(defaults: Dict, own: &Dict) -> Dict {
    let mut table = defaults;
    for (key, value) in own {
        match (table.get_mut(key), value) {
            (Some(Value::Dict(_, below)), Value::Dict(_, own)) if FILLED.contains(&&**key) => {
                below.extend(own.clone());
            }
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
    table
}

/// The settings of a pool and their place.
struct Pool<'a> {
    settings: &'a Settings,
    path: Vec<&'a str>,
    table: Dict,
}

impl Pool<'_> {
    fn check_names(&self, table: &Dict) -> Result<(), BuildError> {
        let mut names = table.keys();
        match names.find(|name| !KNOWN.contains(&name.as_str())) {
            Some(name) => {
                let error = Kind::UnknownField(name.clone(), &KNOWN);
                Err(self.settings.error(&self.path, &error.into()))
            }
            None => Ok(()),
        }
    }

    /// Reads the settings of one struct.
    fn read<T: DeserializeOwned>(&self) -> Result<T, BuildError> {
        let known = fields::<T>();
        let mut table = self.table.clone();
        table.retain(|key, _| known.contains(&&**key));
        self.settings.read(&self.path, table)
    }

    fn invalid(&self, key: &str, message: impl Into<String>, help: &str) -> BuildError {
        let key = [&*self.path, &[key]].concat();
        let error = config_error(ErrorCode::InvalidConfig, key.join("."), message, help);
        let location = self.settings.place(&key);
        BuildError::Config { error, location }
    }

    /// Returns false for a key that is missing or unset.
    fn has(&self, key: &str) -> bool {
        let value = self.table.get(key);
        value.is_some_and(|value| value.as_str() != Some(NONE))
    }

    fn resolve(&self, key: &str, path: PathBuf) -> PathBuf {
        self.settings.resolve(self.table.get(key), path)
    }

    /// Returns the settings of the scheduler. Single times override the timeout profile.
    fn config(&self, keys: &PoolKeys) -> Result<PoolConfig, BuildError> {
        let mut config: PoolConfig = self.read()?;
        config.name = PoolName::from(self.path.last().copied().unwrap_or_default());
        if let Some(profile) = keys.timeout_profile {
            let own = config.clone();
            profile.apply(&mut config);
            if self.table.contains_key("call_timeout") {
                config.call_timeout = own.call_timeout;
            }
            if self.table.contains_key("stream_timeout") {
                config.stream_timeout = own.stream_timeout;
            }
            if self.has("queue_timeout") {
                config.queue_timeout = own.queue_timeout;
            }
        }
        Ok(config)
    }

    /// Creates a pool of Python workers.
    fn python(&self, keys: &PoolKeys) -> Result<PoolBuilder, BuildError> {
        if let Some(key) = of_command().find(|key| self.table.contains_key(*key)) {
            let message = "is for pools with a `command`";
            return Err(self.invalid(key, message, "remove it, or set `command`"));
        }
        let profile = self.profile(keys)?;
        let mut python: PythonConfig = self.read()?;
        if !self.has("adapter") {
            let help = "add for example adapter = \"tools.py\"";
            return Err(self.invalid("adapter", "is missing", help));
        }
        if is_file(&python.adapter) {
            let file = self.resolve("adapter", python.adapter.into());
            python.adapter = file.to_string_lossy().into_owned();
        }
        let interpreter = python.interpreter.take();
        python.interpreter = interpreter.map(|program| match program.parent() {
            // A name without a slash is searched on the `PATH`.
            Some(parent) if parent == Path::new("") => program,
            _ => self.resolve("python", program),
        });
        let working_dir = python.working_dir.take();
        python.working_dir = working_dir.map(|dir| self.resolve("working_dir", dir));
        for dir in &mut python.python_path {
            *dir = self.resolve("python_path", std::mem::take(dir));
        }
        let builder = PoolBuilder::new("", "").profile(profile);
        Ok(builder.configure_python(|target| *target = python))
    }

    fn profile(&self, keys: &PoolKeys) -> Result<PythonProfile, BuildError> {
        match (keys.profile.as_deref(), keys.threads_per_worker) {
            (None | Some("process"), None) => Ok(PythonProfile::Process),
            (Some("thread"), Some(threads_per_worker)) => {
                Ok(PythonProfile::Thread { threads_per_worker })
            }
            (Some("thread"), None) => {
                let help = "add for example threads_per_worker = 16";
                Err(self.invalid("threads_per_worker", "is missing", help))
            }
            (None | Some("process"), Some(_)) => {
                let message = "is for the profile \"thread\"";
                Err(self.invalid("threads_per_worker", message, "add profile = \"thread\""))
            }
            (Some(other), _) => {
                let message = format!("must be \"process\" or \"thread\", got \"{other}\"");
                let help = nearest(other, ["process", "thread"]).map_or_else(
                    || "leave it out for \"process\"".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                Err(self.invalid("profile", message, &help))
            }
        }
    }

    /// Creates a pool of any executable. Settings of Python workers among the defaults are for
    /// other pools.
    #[cfg(feature = "command")]
    fn command(&self, words: &[String], own: &Dict) -> Result<PoolBuilder, BuildError> {
        if let Some(key) = of_python().find(|key| own.contains_key(*key)) {
            let message = "is for Python workers, and the pool has a `command`";
            return Err(self.invalid(key, message, "remove one of the two"));
        }
        if words.first().is_none_or(String::is_empty) {
            let help = "write for example command = [\"node\", \"worker.js\"]";
            return Err(self.invalid("command", "is empty", help));
        }
        let mut command: CommandKeys = self.read()?;
        // As adapters, commands are relative to their file.
        let home = self.settings.dir_of(self.table.get("command"));
        let home = home.filter(|home| !home.as_os_str().is_empty());
        let working_dir = command.working_dir.take();
        command.working_dir = working_dir
            .map(|dir| self.resolve("working_dir", dir))
            .or(home.map(Path::to_owned));
        let builder = PoolBuilder::command("", words.iter().cloned());
        Ok(builder.configure_command(|target| {
            command.program = std::mem::take(&mut target.program);
            command.args = std::mem::take(&mut target.args);
            *target = command;
        }))
    }

    #[cfg(not(feature = "command"))]
    fn command(&self, _: &[String], _: &Dict) -> Result<PoolBuilder, BuildError> {
        let message = "needs the feature `command` of the library";
        Err(self.invalid("command", message, "build the program with it"))
    }
}

/// Returns true for an adapter that is a file; a module has no directory.
fn is_file(adapter: &str) -> bool {
    adapter.ends_with(".py") || adapter.contains(".py:") || adapter.contains('/')
}
