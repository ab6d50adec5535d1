//! Failures of the program, and its exit status.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use snakepit::{BuildError, Error, ErrorCode, Report, StartError};

use crate::output;

#[derive(Debug)]
pub(crate) enum Failure {
    /// A call, a start or the usage failed.
    Reported { report: Box<Report>, usage: bool },
    /// A check of the demo failed and has been reported.
    Checks,
    /// Reading or writing failed.
    Io(io::Error),
    /// A signal ended the program.
    Signal(u8),
}

impl Failure {
    /// Creates the failure of invalid user input.
    pub(crate) fn usage(
        code: ErrorCode,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Reported {
            report: Box::new(Report::usage(code, message, help)),
            usage: true,
        }
    }

    /// Creates the failure of a file that cannot be written. `option` names it on the command line.
    pub(crate) fn unwritten(file: &Path, error: &io::Error, option: &str) -> Self {
        let report = Report::usage(
            ErrorCode::OutputFailed,
            format!("{} cannot be written: {error}", file.display()),
            format!("free space, or name another file with `{option}`"),
        );
        Self::Reported {
            report: Box::new(report),
            usage: false,
        }
    }

    /// Replaces a word in the help, if there is one.
    pub(crate) fn help_word(self, word: &str, other: &str) -> Self {
        match self {
            Self::Reported { report, usage } => Self::Reported {
                report: Box::new(report.map_help(|help| help.replace(word, other))),
                usage,
            },
            failure => failure,
        }
    }

    /// Replaces the help.
    pub(crate) fn help(self, help: &str) -> Self {
        match self {
            Self::Reported { report, usage } => Self::Reported {
                report: Box::new(report.map_help(|_| help.to_owned())),
                usage,
            },
            other => other,
        }
    }

    /// Puts a text before the message.
    pub(crate) fn begins_with(self, text: &str) -> Self {
        match self {
            Self::Reported { report, usage } => Self::Reported {
                report: Box::new(report.map_message(|message| format!("{text}{message}"))),
                usage,
            },
            other => other,
        }
    }

    /// Returns whether the time ran out; the caller then does not wait for workers.
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, Self::Reported { report, .. } if timed_out(report.code()))
    }

    /// Reports the failure on stderr and returns the exit status.
    pub(crate) fn report(self, json: bool) -> ExitCode {
        let mut stderr = io::stderr().lock();
        // If stderr cannot be written, there is nowhere to report it.
        let status = match self {
            Self::Reported { report, usage } => {
                let status = exit_status(report.code(), usage);
                let _ = if json {
                    writeln!(stderr, "{}", output::json_text(&report.to_json()))
                } else {
                    let colour = wants_colour(io::stderr().is_terminal());
                    writeln!(stderr, "{}", report.colour(colour))
                };
                status
            }
            Self::Checks => 1,
            // The reader of the output has closed it.
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Io(error) => {
                drop(stderr);
                return cannot_write(&error).report(json);
            }
            Self::Signal(number) => 128_u8.saturating_add(number),
        };
        ExitCode::from(status)
    }
}

const fn timed_out(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::QueueTimeout | ErrorCode::CallTimeout | ErrorCode::NotReady
    )
}

const fn exit_status(code: ErrorCode, usage: bool) -> u8 {
    match code {
        _ if usage => 2,
        ErrorCode::InvalidConfig | ErrorCode::UnknownKey => 2,
        ErrorCode::UnknownPool | ErrorCode::UnknownWorker => 2,
        code if timed_out(code) => 124,
        _ => 1,
    }
}

/// Returns whether to use colours: only on a terminal that has them, and unless `NO_COLOR` is set
/// (<https://no-color.org>).
pub(crate) fn wants_colour(terminal: bool) -> bool {
    let unwanted = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    terminal && !is_dumb() && !unwanted()
}

/// Returns whether the terminal can only print lines of text (`TERM=dumb`).
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Creates the failure of an I/O error, usually a full disk or a missing permission at stdout.
fn cannot_write(error: &io::Error) -> Failure {
    let report = Report::usage(
        ErrorCode::OutputFailed,
        format!("the output cannot be written: {error}"),
        "free space, or send the output to another place",
    );
    Failure::Reported {
        report: Box::new(report),
        usage: false,
    }
}

/// Replacements of the library's words by those of the command line. Settings without an option are
/// removed.
const WORDS: [(&str, &str); 11] = [
    (" or `queue_limit`", ""),
    (" or `queue_bytes`", ""),
    (", or raise `max_payload`", ""),
    ("`pools.main.workers`", "`--workers`"),
    ("`pools.main.adapter`", "the adapter"),
    ("`workers`", "`--workers`"),
    ("`queue_timeout`", "`--timeout`"),
    ("`start_timeout`", "`--timeout`"),
    ("the time-out", "`--timeout`"),
    ("the setting `python`", "`--python`"),
    ("call it with `execute_stream`", "use `snakepit stream`"),
];

/// Translates a help text of the library into the words of the command line.
fn for_the_shell(help: &str) -> String {
    if let Some((head, example)) = help.split_once(", for example ")
        && let Some((name, value)) = example.split_once(" = ")
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    {
        let head = head.replace("a value that fits", "JSON");
        let value = value.replace('\'', r"'\''");
        return format!("{head}, for example {name}='{value}'");
    }
    let text = help.replace("call it with `execute`", "use `snakepit call`");
    WORDS
        .iter()
        .fold(text, |text, (library, shell)| text.replace(library, shell))
}

fn shown(report: Report) -> Box<Report> {
    let words = |text: &str| match text.contains("`pools.main.") {
        true => for_the_shell(text),
        false => text.to_owned(),
    };
    Box::new(report.map_message(words).map_help(for_the_shell))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Reported {
            report: shown(Report::from(&error)),
            usage: false,
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::Reported {
            report: shown(Report::from(&error)),
            usage: false,
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Reported {
            report: shown(Report::from(&error)),
            usage: false,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::for_the_shell;

    #[test]
    fn help_speaks_the_command_line() {
        for (help, shown) in [
            (
                "pass a value that fits, for example xs = [1.0, 2.0]",
                "pass JSON, for example xs='[1.0, 2.0]'",
            ),
            (
                "pass it, for example s = \"it's\"",
                "pass it, for example s='\"it'\\''s\"'",
            ),
            (
                "name the columns by texts, for example with `df.columns = df.columns.map(str)`",
                "name the columns by texts, for example with `df.columns = df.columns.map(str)`",
            ),
            ("did you mean `xs`?", "did you mean `xs`?"),
            ("write for example 3", "write for example 3"),
            (
                "all workers were busy; raise `workers` or `queue_timeout`",
                "all workers were busy; raise `--workers` or `--timeout`",
            ),
            (
                "make fewer concurrent calls, or raise `workers` or `queue_limit`",
                "make fewer concurrent calls, or raise `--workers`",
            ),
            (
                "the tool took too long; raise the time-out",
                "the tool took too long; raise `--timeout`",
            ),
            (
                "send less at a time, or raise `max_payload`",
                "send less at a time",
            ),
        ] {
            assert_eq!(for_the_shell(help), shown);
        }
    }
}
