//! Errors of the admin client.

use std::io;
use std::path::PathBuf;

use snakepit_core::error::ErrorCode;
use snakepit_core::printable::Printable;
use tonic::{Code, Status};

/// An error of finding or querying a host. The host itself is not affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// No host runs.
    #[error("no host runs that records its workers in {}", data_dir.display())]
    NoHost {
        /// The directory that was searched.
        data_dir: PathBuf,
        /// `true` if there are recordings of hosts that have ended.
        ended: bool,
    },
    /// No host of this name runs.
    #[error("{}", unknown_run(run, *ended))]
    UnknownRun {
        /// The requested run.
        run: String,
        /// `true` if there is a run of this name whose host has ended.
        ended: bool,
    },
    /// Several hosts run.
    #[error("{} hosts run: {}", runs.len(), runs.join(", "))]
    SeveralHosts {
        /// Their runs.
        runs: Vec<String>,
    },
    /// Several runs begin with the name.
    #[error("{} runs match `{}`: {}", runs.len(), Printable(run), runs.join(", "))]
    SeveralRuns {
        /// The requested run.
        run: String,
        /// The runs that match.
        runs: Vec<String>,
    },
    /// The data directory cannot be used.
    #[error("the data directory cannot be used: {0}")]
    DataDir(snakepit_registry::Error),
    /// The socket of a host cannot be used or trusted.
    #[error("the admin socket of run `{run}` cannot be used: {source}")]
    Socket {
        /// The run.
        run: String,
        /// The cause.
        source: snakepit_registry::Error,
    },
    /// The host does not serve the admin service.
    #[error("the admin service of the host of run `{run}` is off")]
    SwitchedOff {
        /// The run.
        run: String,
    },
    /// The host ended, or closed the connection.
    #[error("the host of run `{run}` has ended or closed the connection")]
    Gone {
        /// The run.
        run: String,
    },
    /// A signal or a debugger has stopped the process of the host.
    #[error("the host of run `{run}` is stopped: process {pid} is suspended and does not answer")]
    Stopped {
        /// The run.
        run: String,
        /// The process id.
        pid: u32,
    },
    /// The host does not answer, though its process is not stopped.
    #[error("the host of run `{run}` has not answered for {seconds} s")]
    Silent {
        /// The run.
        run: String,
        /// Seconds without an answer.
        seconds: u64,
    },
    /// The host speaks another version of the protocol.
    #[error(
        "the host of run `{run}` speaks version {theirs} of the admin protocol, this program version {ours}"
    )]
    Version {
        /// The run.
        run: String,
        /// The host's version.
        theirs: u32,
        /// The version of this program.
        ours: u32,
    },
    /// The flight recording of a run cannot be read.
    #[error(
        "the recording `{file}` of run `{run}` cannot be read: it is damaged or has another version"
    )]
    Recording {
        /// The run.
        run: String,
        /// The file.
        file: String,
    },
    /// The file of a flight recording cannot be read.
    #[error("the recording `{file}` of run `{run}` cannot be read: {source}")]
    RecordingFile {
        /// The run.
        run: String,
        /// The file.
        file: String,
        /// The cause.
        source: snakepit_registry::Error,
    },
    /// A recording of `snakepit top` cannot be read.
    #[error("the recording {} cannot be read: line {line}: {}", file.display(), Printable(reason))]
    Looks {
        /// The file.
        file: PathBuf,
        /// The line in the file, from 1; 0 for the whole file.
        line: usize,
        /// The reason, for people.
        reason: String,
    },
    /// The host refused the request, or the request failed in the host.
    #[error("{}", Printable(message))]
    Refused {
        /// The stable code of the reason.
        code: ErrorCode,
        /// The reason, for people.
        message: String,
    },
}

impl AdminError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NoHost { .. } | Self::UnknownRun { .. } => ErrorCode::NoHost,
            Self::SeveralHosts { .. } | Self::SeveralRuns { .. } => ErrorCode::SeveralHosts,
            Self::DataDir(_) => ErrorCode::DataDir,
            Self::Socket { .. } | Self::SwitchedOff { .. } => ErrorCode::AdminSocket,
            Self::Gone { .. } => ErrorCode::HostGone,
            Self::Stopped { .. } | Self::Silent { .. } => ErrorCode::HostStopped,
            Self::Version { .. } => ErrorCode::HostVersion,
            Self::Recording { .. } | Self::RecordingFile { .. } | Self::Looks { .. } => {
                ErrorCode::BadRecording
            }
            Self::Refused { code, .. } => *code,
        }
    }

    /// Returns one thing to do.
    pub fn help(&self) -> String {
        match self {
            Self::NoHost { ended: true, .. } => {
                "start the program, or read what the last one recorded with `snakepit report`"
                    .to_owned()
            }
            Self::NoHost { .. } => {
                "start the program, or name its directory with `--data-dir`".to_owned()
            }
            Self::UnknownRun { ended: true, .. } => {
                "read its recording with `snakepit report --run`".to_owned()
            }
            Self::UnknownRun { .. } => {
                "list the running hosts with `snakepit ps`, all runs with `snakepit ps --all`"
                    .to_owned()
            }
            Self::SeveralHosts { .. } => "name one of them with `--run`".to_owned(),
            Self::SeveralRuns { .. } => {
                "name more characters of one with `--run`; `snakepit ps --all` lists them".to_owned()
            }
            Self::DataDir(source)
            | Self::Socket { source, .. }
            | Self::RecordingFile { source, .. } => of_another(source),
            Self::SwitchedOff { .. } => {
                "remove `admin = false` from its configuration, or update its snakepit".to_owned()
            }
            Self::Stopped { pid, .. } => format!(
                "resume it with `kill -CONT {pid}`, or with `fg` in its terminal, or detach the debugger"
            ),
            Self::Silent { .. } => {
                "check with `snakepit ps` whether it is stopped; if not, its threads are blocked or get no CPU time"
                    .to_owned()
            }
            Self::Gone { .. } => "check with `snakepit ps` whether it still runs".to_owned(),
            Self::Version { .. } => "use the program `snakepit` of the host's version".to_owned(),
            Self::Recording { .. } => {
                "read it with the program `snakepit` of the version that wrote it".to_owned()
            }
            Self::Looks { .. } => "record it again with `snakepit top --record`".to_owned(),
            Self::Refused { code, .. } => match code {
                ErrorCode::ActionNotAllowed => {
                    "allow actions: `--allow-actions`, or `Client::allow_actions(true)` in a program"
                }
                ErrorCode::UnknownWorker => "list the workers with `snakepit status --detailed`",
                ErrorCode::UnknownPool => "list the pools with `snakepit status`",
                ErrorCode::NoProfile => "show its stacks with `snakepit stack`",
                ErrorCode::UnknownTool => "list the tools of the adapter with `snakepit tools ADAPTER`",
                ErrorCode::NotRunning => "list the running calls with `snakepit status --detailed`",
                _ => "read the log of the host",
            }
            .to_owned(),
        }
    }

    /// Converts the status of a failed request into an error.
    pub(super) fn of(run: &str, status: &Status) -> Self {
        let run = run.to_owned();
        match status.code() {
            // The connection failed, not the request.
            Code::Unavailable | Code::Cancelled => Self::Gone { run },
            Code::Unknown if std::error::Error::source(status).is_some() => Self::Gone { run },
            Code::Unimplemented => Self::Version {
                run,
                theirs: 0,
                ours: super::PROTOCOL,
            },
            _ => {
                let code = status
                    .metadata()
                    .get(CODE)
                    .and_then(|code| code.to_str().ok());
                Self::Refused {
                    code: code
                        .and_then(ErrorCode::parse)
                        .unwrap_or(ErrorCode::AdminFailed),
                    message: status.message().to_owned(),
                }
            }
        }
    }
}

/// Returns the advice for a directory or a socket that cannot be used. Names the owner if it
/// belongs to another user.
fn of_another(error: &snakepit_registry::Error) -> String {
    use snakepit_registry::{DirProblem, Distrust, Error};

    let owner = match error {
        Error::DataDir { problem, .. }
        | Error::Untrusted {
            problem: Distrust::Foreign(problem),
            ..
        } => match problem {
            DirProblem::ForeignOwner { owner, .. } => Some(user(*owner)),
            _ => None,
        },
        Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Some("its owner".to_owned())
        }
        _ => None,
    };
    match owner {
        Some(owner) => format!("run this as {owner}: a host answers only its own user"),
        None => error.help().to_owned(),
    }
}

/// Describes a run that has no running host.
fn unknown_run(run: &str, ended: bool) -> String {
    let run = Printable(run);
    if ended {
        format!("the host of run `{run}` has ended")
    } else {
        format!("unknown run `{run}`")
    }
}

/// Names a user for people.
fn user(id: u32) -> String {
    let known = nix::unistd::User::from_uid(id.into()).ok().flatten();
    known.map_or_else(
        || format!("user {id}"),
        |user| format!("user {} ({id})", Printable(&user.name)),
    )
}

/// Metadata key of the stable code in the status of a refusal.
const CODE: &str = "snakepit-code";

/// Returns a status that carries a stable code.
pub(super) fn refusal(code: ErrorCode, message: impl Into<String>) -> Status {
    let kind = match code {
        ErrorCode::ActionNotAllowed => Code::PermissionDenied,
        ErrorCode::UnknownWorker
        | ErrorCode::UnknownPool
        | ErrorCode::UnknownTool
        | ErrorCode::NotRunning => Code::NotFound,
        ErrorCode::TooManyRequests => Code::ResourceExhausted,
        _ => Code::FailedPrecondition,
    };
    let mut status = Status::new(kind, message);
    let code = code.as_str().parse().expect("codes are letters and digits");
    status.metadata_mut().insert(CODE, code);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_their_code_on_the_way() {
        for code in [
            ErrorCode::ActionNotAllowed,
            ErrorCode::UnknownWorker,
            ErrorCode::HostToolFailed,
        ] {
            let error = AdminError::of("r", &refusal(code, "no\u{1b}[2J"));
            assert_eq!(
                (error.code(), error.to_string()),
                (code, "no\\u{1b}[2J".to_owned())
            );
            assert!(!error.help().is_empty());
        }
        let other = AdminError::of("r", &Status::internal("x"));
        assert_eq!(other.code(), ErrorCode::AdminFailed);
        let gone = AdminError::of("r", &Status::unavailable("x"));
        assert_eq!(gone.code(), ErrorCode::HostGone);
        let old = AdminError::of("r", &Status::unimplemented("x"));
        assert_eq!(old.code(), ErrorCode::HostVersion);
    }
}
