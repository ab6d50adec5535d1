//! Errors of the command line, and requests for help or the version.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Error};
use snakepit::ErrorCode;

use crate::cli::Cli;
use crate::failure::Failure;

/// Prints the requested help, or the error, and returns the exit status.
pub(crate) fn report(error: &Error) -> ExitCode {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if !asked {
        let json = std::env::args_os().any(|word| word == "--json");
        return failure(error).report(json);
    }
    match error.print() {
        Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
        Err(error) => Failure::Io(error).report(false),
    }
}

/// Converts clap's error into a failure with a code and one thing to do.
fn failure(error: &Error) -> Failure {
    let text = error.render().to_string();
    let message = text.split("\n\n").next().unwrap_or(&text);
    let message = message.trim().trim_start_matches("error: ");
    let lines = message.lines().map(str::trim);
    let message = lines.collect::<Vec<_>>().join(" ");
    let help = match command() {
        Some(command) => format!("see `snakepit {command} --help`"),
        None => "see `snakepit --help`".to_owned(),
    };
    Failure::usage(ErrorCode::WrongUsage, message, help)
}

/// Returns the command on the command line, if there is one.
fn command() -> Option<String> {
    let known = Cli::command();
    let words = std::env::args_os().skip(1);
    let mut words = words.filter_map(|word| word.into_string().ok());
    words.find(|word| known.find_subcommand(word).is_some())
}
