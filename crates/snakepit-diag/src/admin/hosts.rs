//! The hosts of this user on this machine: those that run, and those that have ended.

use std::path::Path;
use std::time::Duration;

use snakepit_registry::{Error, HostRun, Registry};

use super::recorded::POOLS;
use super::{AdminError, EndedHost, Recorded, SOCKET};
use crate::process;

/// Time after which a stopped host is an error: debuggers and profilers stop a process for some
/// milliseconds.
const STOPPED: Duration = Duration::from_millis(500);
/// Number of checks in that time.
const LOOKS: u32 = 10;

/// The hosts that record their workers in one data directory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Hosts {
    /// Live hosts, in the order of their start.
    pub running: Vec<RunningHost>,
    /// Dead hosts that have left their directory or their recordings behind, in the order of their
    /// start.
    pub ended: Vec<EndedHost>,
    /// Reasons for which runs are left out: a file or directory of the run is not trusted.
    pub problems: Vec<Error>,
    data_dir: std::path::PathBuf,
}

/// A live host.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunningHost {
    /// The id of its run.
    pub run: String,
    /// Process id; 0 if its record is damaged and it serves no socket.
    pub pid: u32,
    /// Name of its program. Empty if it is not known.
    pub program: String,
    /// Time of its start, in seconds since 1970; 0 if its record is damaged.
    pub started: u64,
    pub(super) files: HostRun,
}

impl Hosts {
    /// Finds the hosts of a data directory; a missing directory has none. Blocks while it reads a
    /// few files for each host.
    ///
    /// # Errors
    /// [`AdminError::DataDir`] if the directory cannot be trusted.
    pub fn find(data_dir: &Path) -> Result<Self, AdminError> {
        let mut hosts = Self {
            running: Vec::new(),
            ended: Vec::new(),
            problems: Vec::new(),
            data_dir: data_dir.to_owned(),
        };
        if matches!(data_dir.try_exists(), Ok(false)) {
            return Ok(hosts);
        }
        let (mut runs, problems) = Registry::host_runs(data_dir).map_err(AdminError::DataDir)?;
        hosts.problems = problems;
        runs.sort_by_key(|run| (run.meta.as_ref().map_or(0, |meta| meta.started), run.run_id));
        let (running, ended): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.alive);
        hosts.running = running.into_iter().map(RunningHost::of).collect();
        hosts.ended = ended.into_iter().map(EndedHost::of).collect();
        Ok(hosts)
    }

    /// Returns what a run has recorded. Without a name, this is the only host that runs, or, if
    /// none runs, the dead one that was the last to record something.
    ///
    /// # Errors
    /// As [`select`](Self::select); [`AdminError::Recording`] and [`AdminError::RecordingFile`] if
    /// no recording of the run can be read.
    pub fn recordings(self, run: Option<&str>) -> Result<Recorded, AdminError> {
        match self.select(run)? {
            Found::Running(host) => host.recordings(),
            Found::Ended(host) => host.recordings(),
        }
    }

    /// Returns the run that is named by its id or by an unambiguous prefix of it, whether its host
    /// runs or not. Without a name, returns the only host that runs, or, if none runs, the dead one
    /// that was the last to record something.
    ///
    /// # Errors
    /// [`AdminError::NoHost`], [`AdminError::UnknownRun`], [`AdminError::SeveralHosts`],
    /// [`AdminError::SeveralRuns`].
    pub fn select(mut self, run: Option<&str>) -> Result<Found, AdminError> {
        let Some(run) = run else {
            if self.running.is_empty() {
                let ended = self.ended.drain(..);
                let last = ended.max_by(|a, b| a.last().total_cmp(&b.last()));
                if let Some(last) = last {
                    return Ok(Found::Ended(last));
                }
            }
            return self.only().map(Found::Running);
        };
        let matches = |id: &str| !run.is_empty() && id.starts_with(run);
        let running = self.running.into_iter().map(Found::Running);
        let ended = self.ended.into_iter().map(Found::Ended);
        let mut found: Vec<_> = running
            .chain(ended)
            .filter(|found| matches(found.run()))
            .collect();
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(AdminError::UnknownRun {
                run: run.to_owned(),
                ended: false,
            }),
            (Some(last), false) => Err(AdminError::SeveralRuns {
                run: run.to_owned(),
                runs: found
                    .iter()
                    .chain([&last])
                    .map(|found| found.run().to_owned())
                    .collect(),
            }),
        }
    }

    /// Returns the only live host.
    ///
    /// # Errors
    /// [`AdminError::NoHost`], [`AdminError::SeveralHosts`].
    pub fn only(self) -> Result<RunningHost, AdminError> {
        let mut running = self.running;
        match (running.pop(), running.is_empty()) {
            (Some(host), true) => Ok(host),
            (None, _) => Err(AdminError::NoHost {
                data_dir: self.data_dir,
                ended: !self.ended.is_empty(),
            }),
            (Some(last), false) => {
                let runs = running.into_iter().chain([last]);
                let runs = runs.map(|host| host.run).collect();
                Err(AdminError::SeveralHosts { runs })
            }
        }
    }

    /// Returns the live host of a run, named by its id or by an unambiguous prefix of it.
    ///
    /// # Errors
    /// [`AdminError::UnknownRun`], [`AdminError::SeveralRuns`].
    pub fn named(self, run: &str) -> Result<RunningHost, AdminError> {
        let unknown = |ended| AdminError::UnknownRun {
            run: run.to_owned(),
            ended,
        };
        let matches = |id: &str| !run.is_empty() && id.starts_with(run);
        let ended = self.ended.iter().any(|host| matches(&host.run));
        let mut running = self.running;
        running.retain(|host| matches(&host.run));
        match (running.pop(), running.is_empty()) {
            (Some(host), true) => Ok(host),
            (None, _) => Err(unknown(ended)),
            (Some(last), false) => Err(AdminError::SeveralRuns {
                run: run.to_owned(),
                runs: running
                    .into_iter()
                    .chain([last])
                    .map(|host| host.run)
                    .collect(),
            }),
        }
    }
}

/// A run that was selected.
#[derive(Debug)]
pub enum Found {
    /// The host runs.
    Running(RunningHost),
    /// The host has ended.
    Ended(EndedHost),
}

impl Found {
    fn run(&self) -> &str {
        match self {
            Self::Running(host) => &host.run,
            Self::Ended(host) => &host.run,
        }
    }
}

impl RunningHost {
    /// Reads the current flight recordings of the host's pools, some 370 kB each.
    ///
    /// # Errors
    /// [`AdminError::Recording`] and [`AdminError::RecordingFile`] if none of them can be read.
    pub fn recordings(&self) -> Result<Recorded, AdminError> {
        Recorded::of(&self.files, POOLS)
    }

    /// Returns whether a signal or a debugger has stopped the process. A stopped host does not
    /// answer.
    pub fn is_stopped(&self) -> bool {
        self.pid != 0 && process::is_stopped(self.pid)
    }

    /// Resolves once the process has been stopped for longer than a debugger or profiler needs.
    pub(super) async fn stopped(&self) -> AdminError {
        let mut ticks = tokio::time::interval(STOPPED / LOOKS);
        let mut stopped = 0;
        while stopped <= LOOKS {
            ticks.tick().await;
            stopped = if self.is_stopped() { stopped + 1 } else { 0 };
        }
        self.stopped_error()
    }

    /// Creates the error of a stopped host.
    pub(crate) fn stopped_error(&self) -> AdminError {
        AdminError::Stopped {
            run: self.run.clone(),
            pid: self.pid,
        }
    }

    fn of(files: HostRun) -> Self {
        let (pid, program, started) = match &files.meta {
            Some(meta) => (meta.host_pid, meta.host_program.clone(), meta.started),
            // The process behind the socket is the host.
            None => {
                let pid = files.listener(SOCKET).unwrap_or(0);
                (pid, process::program(pid), 0)
            }
        };
        Self {
            run: files.run_id.to_string(),
            pid,
            program,
            started,
            files,
        }
    }
}
