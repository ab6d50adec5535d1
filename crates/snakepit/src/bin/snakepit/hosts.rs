//! Which host a command is about, and the way to it.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use snakepit::Report as ErrorReport;
use snakepit::diag::{AdminError, Client, Hosts, RunningHost, Style};
use snakepit::profiles::default_data_dir;

use crate::failure::{Failure, wants_colour};
use crate::host_options::HostOptions;

/// The directory of the records.
pub(crate) fn data_dir(given: Option<&Path>) -> PathBuf {
    given.map_or_else(default_data_dir, Path::to_owned)
}

/// The host that the options name, or the only one.
pub(crate) fn find(options: &HostOptions) -> Result<RunningHost, Failure> {
    let hosts = Hosts::find(&data_dir(options.data_dir.as_deref()))?;
    Ok(match &options.run {
        Some(run) => hosts.named(run)?,
        None => hosts.only()?,
    })
}

/// Connects to it.
pub(crate) async fn connect(options: &HostOptions) -> Result<Client, Failure> {
    Ok(Client::connect(&find(options)?).await?)
}

/// How text is laid out on stdout.
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
