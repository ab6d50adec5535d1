//! Errors of a start.

use std::path::PathBuf;

use crate::{
    ConfigError, Error, ErrorCode, PoolName, Printable, RegisterError, Report, StartError,
};

/// The error of [`SnakepitBuilder::start`](crate::SnakepitBuilder::start). Nothing is left running.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is invalid.
    #[error("{}{error}", place(location.as_deref()))]
    Config {
        /// Key, message and help.
        error: ConfigError,
        /// The file or the variable that sets it. `None` if it was set in code.
        location: Option<String>,
    },
    /// The configuration file cannot be read.
    #[error("configuration file `{}` cannot be read: {reason}", Printable(&path.to_string_lossy()))]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        reason: String,
    },
    /// The profile of a pool cannot be set up: the interpreter or the worker runtime is missing or
    /// unusable.
    #[error("pool `{pool}` cannot be set up: {error}")]
    Profile {
        /// The pool.
        pool: PoolName,
        /// The cause.
        error: Box<StartError>,
    },
    /// A host tool cannot be registered.
    #[error(transparent)]
    HostTool(#[from] RegisterError),
    /// The workers of a pool did not become ready.
    #[error("pool `{pool}` did not start: {}", reason(error))]
    Start {
        /// The pool.
        pool: PoolName,
        /// The cause.
        error: Box<Error>,
    },
    /// The signals that end a script cannot be caught. Nothing was started.
    #[error("the signals of the process cannot be caught: {reason}")]
    Signals {
        /// The error of the system.
        reason: String,
    },
}

impl BuildError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Config { error, .. } => error.code,
            Self::File { .. } => ErrorCode::InvalidConfig,
            Self::Profile { error, .. } => error.code,
            Self::HostTool(error) => error.code(),
            Self::Start { error, .. } => error.code(),
            Self::Signals { .. } => ErrorCode::StartFailed,
        }
    }

    /// Creates the error of a setting made in code.
    pub(crate) fn setting(
        code: ErrorCode,
        key: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Config {
            error: config_error(code, key, message, help),
            location: None,
        }
    }

    /// Creates the error of a pool's setting, with the pool's name before the key.
    pub(crate) fn in_pool(
        mut error: ConfigError,
        pool: &PoolName,
        location: Option<String>,
    ) -> Self {
        error.key = format!("pools.{pool}.{}", error.key);
        Self::Config { error, location }
    }
}

impl From<ConfigError> for BuildError {
    fn from(error: ConfigError) -> Self {
        Self::Config {
            error,
            location: None,
        }
    }
}

impl From<&BuildError> for Report {
    fn from(error: &BuildError) -> Self {
        match error {
            BuildError::Config { error, location } => Self::from(error).at(location.clone()),
            BuildError::File { path, .. } => Self::usage(
                error.code(),
                error.to_string(),
                format!("check that {} is there and readable", path.display()),
            ),
            BuildError::Signals { .. } => Self::usage(
                error.code(),
                error.to_string(),
                "check how many descriptors are open: each signal needs one",
            ),
            BuildError::HostTool(error) => {
                Self::usage(error.code(), error.to_string(), error.help())
            }
            BuildError::Profile { error, .. } => Self::from(&**error),
            BuildError::Start { error, .. } => Self::from(&**error),
        }
    }
}

/// Returns the location of a setting as the beginning of a message.
fn place(location: Option<&str>) -> String {
    location.map_or_else(String::new, |location| format!("{}: ", Printable(location)))
}

/// Returns the cause of a failed start without the words that the message already has.
fn reason(error: &Error) -> String {
    match error {
        Error::Start { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// Creates the error of one key. The message continues after the key.
pub(crate) fn config_error(
    code: ErrorCode,
    key: impl Into<String>,
    message: impl Into<String>,
    help: impl Into<String>,
) -> ConfigError {
    let mut error = ConfigError::new(key, message, help);
    error.code = code;
    error
}
