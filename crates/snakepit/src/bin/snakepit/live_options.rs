//! Options of the commands that watch a host, and of those that change it.

#[cfg(feature = "top")]
use std::path::PathBuf;
#[cfg(any(feature = "top", feature = "web"))]
use std::time::Duration;

use clap::Args;

use crate::host_options::{HostOptions, named};

/// Shortest interval between two reports.
#[cfg(any(feature = "top", feature = "web"))]
pub(crate) const SHORTEST: Duration = Duration::from_millis(50);

#[cfg(feature = "top")]
#[derive(Debug, Args)]
pub(crate) struct TopOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Time between two looks, at least 50ms
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = snakepit::parse_duration)]
    pub(crate) every: Duration,
    /// Print one screen and end; without --replay it looks twice, --every apart
    #[arg(long)]
    pub(crate) once: bool,
    /// Print everything as JSON; with --once
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Let keys change the program: cancel, recycle, drain
    #[arg(long)]
    pub(crate) allow_actions: bool,
    /// Record all looks in a file
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Show a recording instead of a program
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "run", "data_dir", "allow_actions"])]
    pub(crate) replay: Option<PathBuf>,
}

#[cfg(feature = "web")]
#[derive(Debug, Args)]
pub(crate) struct WebOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Loopback address; with port 0 any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = crate::cli::listen_address::<std::net::SocketAddr>)]
    pub(crate) addr: std::net::SocketAddr,
    /// Time between two looks, at least 50ms
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = snakepit::parse_duration)]
    pub(crate) every: Duration,
    /// Print the address as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerOptions {
    /// Worker
    #[arg(value_name = "WORKER", value_parser = named())]
    pub(crate) worker: String,
    #[command(flatten)]
    pub(crate) action: ActionOptions,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CancelOptions {
    /// Number of the call, as `snakepit status --detailed` shows it
    #[arg(value_name = "CALL")]
    pub(crate) call: u64,
    #[command(flatten)]
    pub(crate) action: ActionOptions,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ActionOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Let the program be changed; it is refused without this
    #[arg(long)]
    pub(crate) allow_actions: bool,
}
