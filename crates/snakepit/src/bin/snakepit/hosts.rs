//! Selection of the host for a command, and the connection to it.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use snakepit::Report as ErrorReport;
use snakepit::diag::{AdminError, Client, Hosts, Recorded, RunningHost, Style};
use snakepit::profiles::default_data_dir;

use crate::failure::{Failure, wants_colour};
use crate::host_options::HostOptions;
use crate::output;

/// Returns the directory of the records: the given one or the default.
pub(crate) fn data_dir(given: Option<&Path>) -> PathBuf {
    given.map_or_else(default_data_dir, Path::to_owned)
}

/// Returns the host that the options name, or the only one.
pub(crate) fn find(options: &HostOptions) -> Result<RunningHost, Failure> {
    let hosts = Hosts::find(&data_dir(options.data_dir.as_deref()))?;
    Ok(match &options.run {
        Some(run) => hosts.named(run)?,
        None => hosts.only()?,
    })
}

/// Connects to the host that the options name.
pub(crate) async fn connect(options: &HostOptions) -> Result<Client, Failure> {
    Ok(Client::connect(&find(options)?).await?)
}

/// Warns of the recordings that are left out.
pub(crate) fn warn_of_left_out(recorded: &Recorded) {
    for problem in &recorded.problems {
        output::warn(&format!("left out: {problem} ({})", problem.code()));
    }
}

/// Returns the time in seconds since 1970.
pub(crate) fn now() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

/// Returns the style of text on stdout.
pub(crate) fn style(detailed: bool) -> Style {
    Style {
        colour: wants_colour(io::stdout().is_terminal()),
        detailed,
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let report = ErrorReport::usage(error.code(), error.to_string(), error.help());
        Self::Reported {
            report: Box::new(report),
            usage: false,
        }
    }
}
