//! Why a start failed.

use std::path::PathBuf;

use crate::{
    ConfigError, Error, ErrorCode, PoolName, Printable, RegisterError, Report, StartError,
};

/// Why [`SnakepitBuilder::start`](crate::SnakepitBuilder::start) failed. Nothing is left running.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is wrong.
    #[error("{}{error}", place(location.as_deref()))]
    Config {
        /// What is wrong with it.
        error: ConfigError,
        /// The file or the variable that holds it; absent when it was set in code.
        location: Option<String>,
    },
    /// The configuration file cannot be read.
    #[error("configuration file `{}` cannot be read: {reason}", Printable(&path.to_string_lossy()))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The profile of a pool cannot be set up: no interpreter, no worker runtime.
    #[error("pool `{pool}` cannot be set up: {error}")]
    Profile {
        /// The pool.
        pool: PoolName,
        /// What failed.
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
        /// What failed.
        error: Box<Error>,
    },
    /// The signals of the process, which would end a script, cannot be caught. Nothing was started.
    #[error("the signals of the process cannot be caught: {reason}")]
    Signals {
        /// What the system says.
        reason: String,
    },
}

impl BuildError {
    /// The stable code.
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

    /// A setting made in code is wrong.
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

    /// The same, with the name of the pool before the key.
    pub(crate) fn in_pool(
        mut error: ConfigError,
        pool: &PoolName,
        location: Option<String>,
    ) -> Self {
        error.key = format!("pools.{pool}.{}", error.key);
        Self::Config { error, location }
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
                "see how many descriptors are open: each signal needs one",
            ),
            BuildError::HostTool(error) => {
                Self::usage(error.code(), error.to_string(), error.help())
            }
            BuildError::Profile { error, .. } => Self::from(&**error),
            BuildError::Start { error, .. } => Self::from(&**error),
        }
    }
}

/// The place of a setting, as the beginning of a message.
fn place(location: Option<&str>) -> String {
    location.map_or_else(String::new, |location| format!("{}: ", Printable(location)))
}

/// The cause of a failed start; that the pool failed to start is said already.
fn reason(error: &Error) -> String {
    match error {
        Error::Start { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// Builds the error of one key; the message reads on after the key.
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
