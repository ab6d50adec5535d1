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
    /// Interval between two reports, at least 50ms
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = snakepit::parse_duration)]
    pub(crate) every: Duration,
    /// Print one screen and exit; without --replay it takes two reports, --every apart
    #[arg(long)]
    pub(crate) once: bool,
    /// Print everything as JSON; requires --once
    #[arg(long, requires = "once")]
    pub(crate) json: bool,
    /// Allow keys that change the program: cancel, recycle, drain
    #[arg(long)]
    pub(crate) allow_actions: bool,
    /// Record all reports in a file
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
    /// Loopback address; port 0 takes a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = crate::cli::listen_address::<std::net::SocketAddr>)]
    pub(crate) addr: std::net::SocketAddr,
    /// Interval between two reports, at least 50ms
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
    /// Allow this command to change the program; required
    #[arg(long)]
    pub(crate) allow_actions: bool,
}
