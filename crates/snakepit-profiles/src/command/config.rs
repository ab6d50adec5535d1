//! Settings of workers that are started by a command.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use snakepit_registry::Containment;

/// Settings of workers that are started by a command. Everything but the program has a default.
///
/// In the arguments, `{socket}`, `{ready_file}`, `{host}`, `{worker}` and `{slots}` are replaced by
/// the values of the corresponding variables; see `docs/foreign-workers.md`. `{threads}` is
/// replaced by the number of threads that a server needs: one for each slot, and two more for pings
/// and telemetry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default = "CommandConfig::without_program", deny_unknown_fields)]
#[non_exhaustive]
pub struct CommandConfig {
    /// The executable: a path, or a name that is searched on the `PATH` of the workers.
    #[serde(skip)]
    pub program: PathBuf,
    /// Arguments.
    #[serde(skip)]
    pub args: Vec<String>,
    /// Working directory of the workers. `None` for the current one.
    pub working_dir: Option<PathBuf>,
    /// Environment variables for the workers. They override all others.
    pub env: BTreeMap<String, String>,
    /// Additional variables to pass on from this process: names, or prefixes as `PREFIX*`.
    pub inherit_env: Vec<String>,
    /// Calls that one worker runs at the same time.
    pub slots: NonZeroU16,
    /// The way in which a worker reports that it is ready, and its address.
    #[schemars(with = "String", extend("pattern" = Readiness::PATTERN))]
    pub ready: Readiness,
    /// The contract that the workers follow.
    pub runtime: CommandRuntime,
    /// True if workers end when this process ends, in whatever way (the default).
    pub dependent: bool,
    /// Containment of the processes that workers start.
    #[schemars(schema_with = "crate::config::containment")]
    pub containment: Containment,
    /// Directory where the workers are recorded. `None` for the one that
    /// [`Run::open`](crate::Run::open) selects.
    #[serde(skip)]
    pub data_dir: Option<PathBuf>,
}

impl CommandConfig {
    /// Creates settings with this program and defaults for everything else.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            working_dir: None,
            env: BTreeMap::new(),
            inherit_env: Vec::new(),
            slots: NonZeroU16::MIN,
            ready: Readiness::Any,
            runtime: CommandRuntime::default(),
            dependent: true,
            containment: Containment::default(),
            data_dir: None,
        }
    }

    /// The defaults for settings that are read.
    fn without_program() -> Self {
        Self::new("")
    }

    /// Creates settings for a worker in Node: `node script`.
    pub fn node(script: impl Into<String>) -> Self {
        Self::new("node").args([script.into()])
    }

    /// Creates settings for the server of the original library, 0.6 to 0.13: the path of its
    /// `grpc_server.py`, run by the `python3` on the `PATH`, and the adapter class with its module.
    pub fn original(script: impl Into<String>, adapter: impl Into<String>) -> Self {
        let args = [script.into(), "--adapter".to_owned(), adapter.into()];
        let mut config = Self::new("python3").args(args);
        config.runtime = CommandRuntime::Original;
        config
    }

    /// Creates settings for the threaded server of the original library, its
    /// `grpc_server_threaded.py`, with this number of calls at the same time.
    pub fn original_threaded(
        script: impl Into<String>,
        adapter: impl Into<String>,
        slots: NonZeroU16,
    ) -> Self {
        let mut config = Self::original(script, adapter);
        config.slots = slots;
        config
            .args
            .extend(["--max-workers", "{threads}"].map(str::to_owned));
        config
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// The contract that the workers of a command follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CommandRuntime {
    /// That of `docs/foreign-workers.md`.
    #[default]
    Described,
    /// That of the original library, 0.6 to 0.13. The arguments `--port` and `--elixir-address` are
    /// added, the host listens on a socket that its gRPC clients can use, keeps its answers below
    /// their limit, and lets the workers register their tools before their first call.
    Original,
}

impl FromStr for CommandRuntime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "described" => Ok(Self::Described),
            "original" => Ok(Self::Original),
            _ => Err(format!(
                "must be \"described\" or \"original\", got {text:?}"
            )),
        }
    }
}

/// The way in which a worker reports that it is ready, and its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Readiness {
    /// `Socket`, `File` or `Line` with the prefix `GRPC_READY:`, whichever comes first.
    #[default]
    Any,
    /// The worker accepts connections on the Unix socket that `SNAKEPIT_WORKER_SOCKET` names.
    Socket,
    /// The worker writes its port or its address into the file that `SNAKEPIT_READY_FILE` names.
    File,
    /// The worker prints a line in which its port or its address follows this text.
    Line(String),
    /// The worker accepts connections at this address. Only one worker can use it at a time.
    Address(SocketAddr),
}

impl Readiness {
    /// The text before the port in the line that workers of the original library print.
    pub const PREFIX: &str = "GRPC_READY:";

    /// The pattern of the texts in a configuration.
    const PATTERN: &str = "^(any|socket|file|line|line:.+|.+:[0-9]+)$";
}

impl From<Readiness> for String {
    fn from(ready: Readiness) -> Self {
        ready.to_string()
    }
}

impl TryFrom<String> for Readiness {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Socket => f.write_str("socket"),
            Self::File => f.write_str("file"),
            Self::Line(prefix) => write!(f, "line:{prefix}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl FromStr for Readiness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "any" => Self::Any,
            "socket" => Self::Socket,
            "file" => Self::File,
            "line" => Self::Line(Self::PREFIX.to_owned()),
            _ => match (text.strip_prefix("line:"), text.parse()) {
                (Some(prefix), _) if !prefix.is_empty() => Self::Line(prefix.to_owned()),
                (_, Ok(address)) => Self::Address(address),
                _ => {
                    return Err(format!(
                        "must be \"any\", \"socket\", \"file\", \"line\", \"line:TEXT\" or an \
                         address such as \"127.0.0.1:7000\", got {text:?}"
                    ));
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_read_as_it_is_written() {
        for text in ["any", "socket", "file", "line:READY ", "127.0.0.1:7000"] {
            assert_eq!(
                text.parse::<Readiness>().map(|it| it.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!(
            "line".parse(),
            Ok(Readiness::Line("GRPC_READY:".to_owned()))
        );
        for bad in ["", "line:", "sockets", "7000"] {
            assert!(bad.parse::<Readiness>().is_err(), "{bad}");
        }
    }
}
