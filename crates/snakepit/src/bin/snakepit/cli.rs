//! The command line of the program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;
use snakepit::profiles::{ProfileKind, Workload};

use crate::diagnose::DiagnoseOptions;
use crate::foreign_options::{CommandOptions, ConformOptions, LinesOptions};
use crate::host_options::{
    ExplainOptions, InspectOptions, LogsOptions, OutputFormat, ProfileOptions, PsOptions,
    ReportOptions, StackOptions, StatusOptions, TraceOptions,
};
#[cfg(feature = "top")]
use crate::live_options::TopOptions;
#[cfg(feature = "web")]
use crate::live_options::WebOptions;
use crate::live_options::{CancelOptions, WorkerOptions};

/// The exit statuses, for the help.
const EXITS: &str = "\
Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 124 timed out,
128 + N ended by signal N.";

/// Run Python functions in pools of worker processes.
#[derive(Debug, Parser)]
#[command(name = "snakepit", version, about, max_term_width = 100, after_help = EXITS)]
pub(crate) struct Cli {
    /// Log more to stderr; -vv logs everything. SNAKEPIT_LOG sets the levels in detail
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Call a tool and print its result
    #[command(
        after_help = "Examples: snakepit call tools.py:mean xs='[1,2,3]'\n          \
                      snakepit call --command 'node worker.js' add a=1 b=2"
    )]
    Call(CallOptions),
    /// Call a streaming tool and print each chunk on a line of its own
    #[command(after_help = "Example: snakepit stream tools.py:primes limit=100")]
    Stream(CallOptions),
    /// Make the calls of a file in one pool; each line has a tool and its arguments as JSON
    #[command(
        after_help = "Example: echo 'mean {\"xs\": [1, 2, 3]}' | snakepit run-script tools.py -\n\
                      The first call that fails ends the script. The workers always end."
    )]
    RunScript(RunScriptOptions),
    /// Create a small project that runs as it is: Python tools, a program that calls them, a test
    #[command(after_help = "Example: snakepit new my-tools && cd my-tools && cargo run")]
    New(NewOptions),
    /// List the tools of an adapter
    Tools(ToolsOptions),
    /// List the runs of programs that use snakepit, their workers, and processes left by dead runs
    #[command(
        after_help = "Exit status 1 if orphans remain: without --kill, or because --kill could not end them."
    )]
    Orphans(OrphansOptions),
    /// Check a worker of any executable against the contract of workers
    #[command(
        after_help = "It also calls the tools `echo`, `count`, `fail` and `sleep`, if the worker has them.\n\
                      Exit status 1 if a check failed.\n\
                      Example: snakepit conform --command 'node worker.js'"
    )]
    Conform(ConformOptions),
    /// Serve an executable that reads and writes lines of JSON: the command of a pool
    #[command(after_help = "Example: command = [\"snakepit\", \"lines\", \"./worker.sh\"]")]
    Lines(LinesOptions),
    /// Check interpreter, worker runtime, registry, containment and limits by using them
    #[command(
        after_help = "It ends the processes and removes the run directories that dead hosts have left.\n\
                      Exit status 1 if a check failed."
    )]
    Doctor(DoctorOptions),
    /// Start workers in steps to find out how many this machine can run, and what breaks first
    #[command(
        after_help = "It stops before memory or another limit is used up, and ends every worker.\n\
                      Example: snakepit diagnose --steps 10,50 --max-memory 1GiB"
    )]
    Diagnose(DiagnoseOptions),
    /// List the running programs that use snakepit
    Ps(PsOptions),
    /// Show the status of a running program: pools, slots, memory, calls and findings
    Status(StatusOptions),
    /// Observe the pools of a running program for a moment, and report problems and possible
    /// improvements
    Inspect(InspectOptions),
    /// Show the stacks of all threads in the workers of a running program
    #[command(after_help = "Exit status 1 if a worker did not answer in time.")]
    Stack(StackOptions),
    /// Sample where the workers of a running program spend their time
    #[command(after_help = "Example: snakepit profile --duration 5s -o profile.svg")]
    Profile(ProfileOptions),
    /// Print the output of the workers of a running program
    Logs(LogsOptions),
    /// Watch a running program in the terminal: pools, workers, calls and findings
    #[cfg(feature = "top")]
    Top(TopOptions),
    /// Show a running program in the browser: print an address, and serve it until the program
    /// ends
    #[cfg(feature = "web")]
    Web(WebOptions),
    /// Replace a worker of a running program once its replacement is ready
    Recycle(WorkerOptions),
    /// Send a worker of a running program no further calls and replace it; its running calls
    /// complete
    Drain(WorkerOptions),
    /// Cancel one call of a running program
    Cancel(CancelOptions),
    /// Show the last calls and deaths of a program, also after it was killed
    Report(ReportOptions),
    /// Write the last calls of a program as a trace for https://ui.perfetto.dev, also after it was
    /// killed
    #[command(after_help = "Example: snakepit trace -o trace.json")]
    Trace(TraceOptions),
    /// Describe an error code: its cause, an example, the remedy
    #[command(after_help = "Example: snakepit explain SP2003")]
    Explain(ExplainOptions),
    /// Report which libraries are thread-safe, and recommend a profile for them
    #[command(
        after_help = "Without LIB: all known libraries that are installed. Exit status 1 if a LIB is unsafe.\n\
                      Example: snakepit compat numpy pandas --workload cpu-bound"
    )]
    Compat(CompatOptions),
    /// Run a demonstration on real input, and check every result
    Demo(DemoOptions),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// Errors are wanted as JSON as well.
    pub(crate) const fn wants_json(&self) -> bool {
        match self {
            Self::Call(options) | Self::Stream(options) => options.run.json,
            Self::Tools(options) => options.json,
            Self::Orphans(options) => options.json,
            Self::RunScript(options) => options.run.json,
            Self::New(options) => options.json,
            Self::Conform(options) => options.json,
            Self::Lines(_) => false,
            Self::Doctor(options) => options.json,
            Self::Diagnose(options) => options.json,
            Self::Ps(options) => options.json,
            Self::Status(options) => options.json,
            Self::Inspect(options) => options.json || matches!(options.format, OutputFormat::Json),
            Self::Stack(options) => options.json,
            Self::Profile(options) => options.json,
            Self::Logs(options) => options.json,
            #[cfg(feature = "top")]
            Self::Top(options) => options.json,
            #[cfg(feature = "web")]
            Self::Web(options) => options.json,
            Self::Recycle(options) | Self::Drain(options) => options.json,
            Self::Cancel(options) => options.json,
            Self::Report(options) => options.json,
            Self::Trace(options) => options.json,
            Self::Explain(options) => options.json,
            Self::Compat(options) => options.json,
            Self::Demo(options) => options.json,
            Self::Completions { .. } => false,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CallOptions {
    /// Adapter and tool: `tools.py:mean`, `package.module:mean`, `tools.py:Class:method`
    #[arg(value_name = "REF", required_unless_present = "command")]
    pub(crate) reference: Option<OsString>,
    /// Arguments as `key=value`; a value that is valid JSON is read as JSON, any other as a
    /// string. Without `key=`: positional arguments; the first one is the tool if REF names none
    #[arg(value_name = "ARG")]
    pub(crate) args: Vec<OsString>,
    /// Arguments as one JSON object or array
    #[arg(long = "args", value_name = "JSON")]
    pub(crate) json_args: Option<OsString>,
    #[command(flatten)]
    pub(crate) foreign: CommandOptions,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

#[derive(Debug, Args)]
pub(crate) struct RunScriptOptions {
    /// Adapter: `tools.py`, `package.module`, `package.module:Class`
    #[arg(value_name = "REF")]
    pub(crate) adapter: OsString,
    /// File with the calls; - for stdin
    #[arg(value_name = "FILE")]
    pub(crate) script: PathBuf,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

/// Options of all commands that call tools.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Session of the calls
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    #[command(flatten)]
    pub(crate) pool: PoolOptions,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryOptions,
    /// Print strings as JSON, too, and errors as JSON on stderr
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PythonOptions {
    /// Python interpreter, or the directory of a virtual environment
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DataOptions {
    /// Directory of the records [default: the user's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NewOptions {
    /// Name of the project, and of the directory that is created
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Directory of the library `snakepit` [default: the source of this program if it exists,
    /// else the published version]
    #[arg(long, value_name = "DIR")]
    pub(crate) library: Option<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ToolsOptions {
    /// Adapter: `tools.py`, `package.module`, `package.module:Class`
    #[arg(
        value_name = "REF",
        required_unless_present = "command",
        conflicts_with = "command"
    )]
    pub(crate) reference: Option<OsString>,
    #[command(flatten)]
    pub(crate) foreign: CommandOptions,
    #[command(flatten)]
    pub(crate) pool: PoolOptions,
    /// Print all details of each tool, including schemas, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OrphansOptions {
    /// End the processes left by dead runs
    #[arg(long)]
    pub(crate) kill: bool,
    /// With --kill: also end workers that were started to outlive their host
    #[arg(long, requires = "kill")]
    pub(crate) independent: bool,
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) data: DataOptions,
    #[command(flatten)]
    pub(crate) python: PythonOptions,
    /// Print the checks as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompatOptions {
    /// Libraries, by the name they are installed or imported with
    #[arg(value_name = "LIB")]
    pub(crate) libraries: Vec<String>,
    /// All known libraries, including those that are not installed
    #[arg(long, conflicts_with = "libraries")]
    pub(crate) all: bool,
    /// Profile of the workers: process or thread
    #[arg(long, value_name = "PROFILE", default_value_t = ProfileKind::Thread)]
    pub(crate) profile: ProfileKind,
    /// Kind of work of most calls: io-bound, cpu-bound, shared-memory or mixed
    #[arg(long, value_name = "KIND", default_value_t = Workload::Mixed)]
    pub(crate) workload: Workload,
    #[command(flatten)]
    pub(crate) python: PythonOptions,
    #[command(flatten)]
    pub(crate) data: DataOptions,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PoolOptions {
    /// Time limit of the whole command, including the start of workers: 1s, 250ms, 2m
    #[arg(long, value_name = "TIME", value_parser = snakepit::parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Worker processes [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) workers: Option<usize>,
    /// Pass the workers only a short list of environment variables, as the library does, instead
    /// of all
    #[arg(long)]
    pub(crate) clean_env: bool,
    #[command(flatten)]
    pub(crate) python: PythonOptions,
}

/// Reads an address to listen at; a port alone is one of this machine.
#[cfg(any(feature = "prometheus", feature = "web"))]
pub(crate) fn listen_address<A: std::str::FromStr>(text: &str) -> Result<A, String> {
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
    let whole = port.map_or_else(|_| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    let unknown =
        |_| format!("`{text}` is not an address with a port; write for example 127.0.0.1:9464");
    whole.parse().map_err(unknown)
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Worker processes of the main pool
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) workers: usize,
    #[command(flatten)]
    pub(crate) python: PythonOptions,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryOptions,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct TelemetryOptions {
    #[cfg(feature = "otlp")]
    /// Send traces, metrics and logs to an OpenTelemetry collector; without ENDPOINT to that of
    /// OTEL_EXPORTER_OTLP_ENDPOINT, or http://localhost:4317
    #[arg(
        long,
        value_name = "ENDPOINT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub(crate) otlp: Option<String>,
    #[cfg(feature = "prometheus")]
    /// Serve metrics for Prometheus at this address, for example 127.0.0.1:9464; a port alone is
    /// one of 127.0.0.1
    #[arg(long, value_name = "ADDR", value_parser = listen_address::<snakepit::ListenAddress>)]
    pub(crate) metrics: Option<snakepit::ListenAddress>,
}
