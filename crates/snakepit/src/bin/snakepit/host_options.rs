//! Options of the commands that query hosts.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

/// Returns the parser of a name, which is not empty.
pub(crate) fn named() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}

/// The host to query.
#[derive(Debug, Args)]
pub(crate) struct HostOptions {
    /// Run of the host, or its first characters; not needed if only one host runs
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Directory of the records [default: the user's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// The run to read: of a running host, or of one that has ended.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Run, or its first characters; `snakepit ps --all` lists them [default: the only running
    /// host; if none runs, the one that recorded something last]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Directory of the records [default: the user's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PsOptions {
    /// Also list ended runs whose recordings are still kept: `snakepit report --run` and
    /// `snakepit trace --run` read them
    #[arg(long)]
    pub(crate) all: bool,
    /// Directory of the records [default: the user's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Also show each worker and each running call
    #[arg(long)]
    pub(crate) detailed: bool,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InspectOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Pool [default: all pools]
    #[arg(long, value_name = "NAME", value_parser = named())]
    pub(crate) pool: Option<String>,
    /// Also show each worker and each running call
    #[arg(long)]
    pub(crate) detailed: bool,
    /// Also give advice about the sizes of the pools
    #[arg(long)]
    pub(crate) recommendations: bool,
    /// Interval between the two reports that findings compare; 0s takes one
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = snakepit::parse_duration)]
    pub(crate) over: Duration,
    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: OutputFormat,
    /// Print everything as JSON; the same as --format json
    #[arg(long)]
    pub(crate) json: bool,
}

/// The format of a printed result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct StackOptions {
    /// Worker [default: all workers]
    #[arg(value_name = "WORKER", value_parser = named())]
    pub(crate) worker: Option<String>,
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Pool [default: all pools]
    #[arg(long, value_name = "NAME", value_parser = named())]
    pub(crate) pool: Option<String>,
    /// Time limit for the answer of a worker
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = snakepit::parse_duration)]
    pub(crate) wait: Duration,
    /// Print everything as JSON, one line per worker
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileOptions {
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Pool [default: all pools]
    #[arg(long, value_name = "NAME", value_parser = named())]
    pub(crate) pool: Option<String>,
    /// Worker [default: all workers]
    #[arg(long, value_name = "WORKER", value_parser = named())]
    pub(crate) worker: Option<String>,
    /// Only stacks in which this tool runs
    #[arg(long, value_name = "TOOL", value_parser = named())]
    pub(crate) tool: Option<String>,
    /// Only the thread that runs this call, until it ends; `snakepit status --detailed` shows
    /// the numbers
    #[arg(long, value_name = "CALL", conflicts_with_all = ["pool", "worker"])]
    pub(crate) call: Option<u64>,
    /// Duration of the profile, at least 1ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = snakepit::parse_duration)]
    pub(crate) duration: Duration,
    /// Samples per second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) hz: u32,
    /// Only samples of threads that have the GIL
    #[arg(long)]
    pub(crate) gil: bool,
    /// Output format [default: by the extension of FILE: flamegraph for .svg, speedscope for
    /// .json, else collapsed]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ProfileFormat>,
    /// Output file; without it and without --format, functions are printed as text
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The format of a written profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileFormat {
    /// A line for each stack.
    Collapsed,
    /// A document for speedscope.app.
    Speedscope,
    /// A drawing for a browser.
    Flamegraph,
}

#[derive(Debug, Args)]
pub(crate) struct LogsOptions {
    /// Worker [default: all workers]
    #[arg(value_name = "WORKER", value_parser = named())]
    pub(crate) worker: Option<String>,
    #[command(flatten)]
    pub(crate) host: HostOptions,
    /// Pool [default: all pools]
    #[arg(long, value_name = "NAME", value_parser = named())]
    pub(crate) pool: Option<String>,
    /// Maximum number of lines; 0 for all that the host has kept
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) tail: u32,
    /// Follow new lines
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print everything as JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// Error code, for example SP2003 [default: all codes]
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportOptions {
    #[command(flatten)]
    pub(crate) host: RunOptions,
    /// Maximum number of calls per pool, the last ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) calls: usize,
    /// Write an HTML page to this file: all calls, deaths and findings; for a running program also
    /// its workers and the stacks of busy ones
    #[cfg(feature = "web")]
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) html: Option<PathBuf>,
    /// Profile the workers of a running program for this time; the page shows flame graphs
    #[cfg(feature = "web")]
    #[arg(long, value_name = "TIME", requires = "html", value_parser = snakepit::parse_duration)]
    pub(crate) profile: Option<Duration>,
    /// Print everything as JSON, with all calls
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TraceOptions {
    #[command(flatten)]
    pub(crate) host: RunOptions,
    /// Pool [default: all pools]
    #[arg(long, value_name = "NAME", value_parser = named())]
    pub(crate) pool: Option<String>,
    /// Maximum number of calls per pool, the last ones
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) calls: usize,
    /// Output file [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the outcome as JSON, if FILE is given
    #[arg(long)]
    pub(crate) json: bool,
}
