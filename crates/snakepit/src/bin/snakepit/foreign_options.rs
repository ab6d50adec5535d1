//! Options about workers of any executable.

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use snakepit::{CommandRuntime, Readiness};

/// Workers of any executable instead of an adapter.
#[derive(Debug, Args)]
pub(crate) struct CommandOptions {
    /// Program that serves the tools over gRPC, with its arguments, instead of an adapter; `call`
    /// then takes the tool alone. Words are split as a shell does
    #[arg(long, value_name = "COMMAND")]
    pub(crate) command: Option<String>,
    /// Calls that one worker of the command runs at the same time
    #[arg(long, value_name = "N", requires = "command")]
    pub(crate) slots: Option<NonZeroU16>,
    /// Sign that a worker of the command is ready: any, socket, file, line, line:TEXT or an address
    /// [default: any]
    #[arg(long, value_name = "SIGN", requires = "command")]
    pub(crate) ready: Option<Readiness>,
    /// Contract that a worker of the command follows: described, or original for servers of the
    /// original library [default: described]
    #[arg(long, value_name = "CONTRACT", requires = "command")]
    pub(crate) runtime: Option<CommandRuntime>,
}

#[derive(Debug, Args)]
pub(crate) struct ConformOptions {
    #[command(flatten)]
    pub(crate) foreign: CommandOptions,
    /// Time limit of each step: 1s, 250ms, 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = snakepit::parse_duration)]
    pub(crate) timeout: Duration,
    /// Pass the worker only a short list of environment variables, as the library does, instead of
    /// all
    #[arg(long)]
    pub(crate) clean_env: bool,
    /// Print the checks as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LinesOptions {
    /// The executable
    #[arg(value_name = "PROGRAM")]
    pub(crate) program: PathBuf,
    /// Its arguments
    #[arg(
        value_name = "ARG",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) args: Vec<OsString>,
}
