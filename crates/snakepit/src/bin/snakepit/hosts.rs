//! Which host a command is about, and the way to it.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use snakepit::Report as ErrorReport;
use snakepit::diag::{AdminError, Client, Hosts, Style};
use snakepit::profiles::default_data_dir;

use crate::failure::{Failure, wants_colour};
use crate::host_options::HostOptions;

/// The directory of the records.
pub(crate) fn data_dir(given: Option<&Path>) -> PathBuf {
    given.map_or_else(default_data_dir, Path::to_owned)
}

/// Connects to the host that the options name, or to the only one.
pub(crate) async fn connect(options: &HostOptions) -> Result<Client, Failure> {
    let hosts = Hosts::find(&data_dir(options.data_dir.as_deref()))?;
    let host = match &options.run {
        Some(run) => hosts.named(run)?,
        None => hosts.only()?,
    };
    Ok(Client::connect(&host).await?)
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
