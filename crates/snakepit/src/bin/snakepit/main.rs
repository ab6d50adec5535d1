//! The program `snakepit`: Python tools from the shell.
//!
//! stdout carries data, stderr carries messages. Exit status: 0 success, 1 failure, 2 wrong usage
//! or configuration, 124 time-out, 128 + N signal N.
#![forbid(unsafe_code)]

mod actions;
mod arguments;
mod call;
mod cli;
mod compat;
mod conform;
mod demo;
mod diagnose;
mod doctor;
mod explain;
mod failure;
mod foreign_options;
mod host_options;
mod hosts;
mod lines;
mod live_options;
mod logging;
mod logs;
mod new;
mod orphans;
mod output;
mod profile;
mod ps;
mod reference;
mod report;
mod run_script;
mod session;
mod settings;
mod stack;
mod status;
mod stream;
mod telemetry;
mod tools;
#[cfg(feature = "top")]
mod top;
mod trace;
mod usage;
#[cfg(feature = "web")]
mod web;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tokio::time::Instant;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let started = Instant::now();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    logging::install(cli.verbose);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Io(error).report(false),
    };
    let json = cli.command.wants_json();
    let result = runtime.block_on(run(cli.command, started));
    // Everything that must end has been awaited; a thread that still reads a file must not delay
    // the exit.
    runtime.shutdown_background();
    logging::end_progress();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

async fn run(command: Command, started: Instant) -> Result<(), Failure> {
    match command {
        Command::Call(options) => call::run(options, started).await,
        Command::Stream(options) => stream::run(options, started).await,
        Command::Tools(options) => tools::run(&options, started).await,
        Command::Orphans(options) => orphans::run(&options),
        Command::RunScript(options) => run_script::run(options, started).await,
        Command::New(options) => new::run(&options),
        Command::Conform(options) => conform::run(&options).await,
        Command::Lines(options) => lines::run(&options).await,
        Command::Doctor(options) => doctor::run(&options).await,
        Command::Diagnose(options) => diagnose::run(&options).await,
        Command::Ps(options) => ps::run(&options),
        Command::Status(options) => status::run(&options).await,
        Command::Inspect(options) => status::inspect(&options).await,
        Command::Stack(options) => stack::run(&options).await,
        Command::Profile(options) => profile::run(&options).await,
        Command::Logs(options) => logs::run(&options).await,
        #[cfg(feature = "top")]
        Command::Top(options) => top::run(options).await,
        #[cfg(feature = "web")]
        Command::Web(options) => web::run(&options).await,
        Command::Recycle(options) => actions::recycle(&options).await,
        Command::Drain(options) => actions::drain(&options).await,
        Command::Cancel(options) => actions::cancel(&options).await,
        #[cfg(feature = "web")]
        Command::Report(options) if options.html.is_some() => web::report(&options).await,
        Command::Report(options) => report::run(&options),
        Command::Trace(options) => trace::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Compat(options) => compat::run(&options).await,
        Command::Demo(options) => demo::run(&options).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "snakepit", &mut script);
            output::bytes(&script)
        }
    }
}
