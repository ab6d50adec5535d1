//! The hosts of this user that run on this machine.

use std::path::Path;
use std::time::Duration;

use snakepit_registry::{Error, HostRun, RECORDING, Registry};

use super::AdminError;
use crate::{Recording, process};

/// Time after which a stopped host is an error: debuggers and profilers stop a process for some
/// milliseconds.
const STOPPED: Duration = Duration::from_millis(500);
/// Number of checks in that time.
const LOOKS: u32 = 10;

/// Highest number of pools of a host whose recordings are read.
const POOLS: usize = 1024;

/// The hosts that record their workers in one data directory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Hosts {
    /// Live hosts, in the order of their start.
    pub running: Vec<RunningHost>,
    /// Dead hosts that have left their directory behind, in the order of their start.
    pub dead: Vec<HostRun>,
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
    /// Process id; 0 if its record is damaged.
    pub pid: u32,
    /// Name of its program. Empty if its record is damaged.
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
            dead: Vec::new(),
            problems: Vec::new(),
            data_dir: data_dir.to_owned(),
        };
        if matches!(data_dir.try_exists(), Ok(false)) {
            return Ok(hosts);
        }
        let (mut runs, problems) = Registry::host_runs(data_dir).map_err(AdminError::DataDir)?;
        hosts.problems = problems;
        runs.sort_by_key(|run| (run.meta.as_ref().map_or(0, |meta| meta.started), run.run_id));
        let (running, dead): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.alive);
        hosts.running = running.into_iter().map(RunningHost::of).collect();
        hosts.dead = dead;
        Ok(hosts)
    }

    /// Returns the id and the flight recordings of a run, one recording for each pool. The run is
    /// named as for [`named`](Self::named), and its host may be dead. Without a name, takes the
    /// host that died last, or else the only one that runs.
    ///
    /// # Errors
    /// [`AdminError::UnknownRun`], [`AdminError::NoHost`], [`AdminError::SeveralHosts`],
    /// [`AdminError::Recording`], [`AdminError::Socket`].
    pub fn recordings(self, run: Option<&str>) -> Result<(String, Vec<Recording>), AdminError> {
        let matches = |files: &HostRun| {
            let id = files.run_id.to_string();
            run.is_none_or(|run| !run.is_empty() && id.starts_with(run))
        };
        let Self {
            running,
            dead,
            data_dir,
            ..
        } = self;
        let mut dead: Vec<_> = dead.into_iter().filter(matches).collect();
        let files = match (dead.pop(), run) {
            (Some(last), None) => last,
            (Some(only), Some(_)) if dead.is_empty() => only,
            (Some(last), Some(_)) => {
                let runs = dead
                    .iter()
                    .chain([&last])
                    .map(|files| files.run_id.to_string());
                return Err(AdminError::SeveralHosts {
                    runs: runs.collect(),
                });
            }
            (None, _) => {
                let hosts = Self {
                    running,
                    dead,
                    problems: Vec::new(),
                    data_dir,
                };
                match run {
                    Some(run) => hosts.named(run)?.files,
                    None => hosts.only()?.files,
                }
            }
        };
        Ok((files.run_id.to_string(), recordings(&files)?))
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
    /// [`AdminError::UnknownRun`], [`AdminError::SeveralHosts`].
    pub fn named(self, run: &str) -> Result<RunningHost, AdminError> {
        let matches = |host: &RunningHost| !run.is_empty() && host.run.starts_with(run);
        let running: Vec<_> = self.running.into_iter().filter(matches).collect();
        let named = Self {
            running,
            data_dir: self.data_dir,
            dead: Vec::new(),
            problems: Vec::new(),
        };
        named.only().map_err(|error| match error {
            AdminError::NoHost { .. } => AdminError::UnknownRun {
                run: run.to_owned(),
            },
            other => other,
        })
    }
}

/// Reads the recordings of a run.
fn recordings(files: &HostRun) -> Result<Vec<Recording>, AdminError> {
    let run = || files.run_id.to_string();
    let mut recordings = Vec::new();
    for number in 0..POOLS {
        let file = format!("{RECORDING}{number}");
        let read = || {
            let bytes = files.read(&file, Recording::BYTES);
            bytes.map_err(|source| AdminError::Socket { run: run(), source })
        };
        let Some(bytes) = read()? else { break };
        let recording = match files.alive {
            // The host writes meanwhile: a second copy shows which entries changed.
            true => read()?.and_then(|again| Recording::read_written(&bytes, &again)),
            false => Recording::read(&bytes),
        };
        recordings.push(recording.ok_or_else(|| AdminError::Recording { run: run(), file })?);
    }
    Ok(recordings)
}

impl RunningHost {
    /// Reads the current flight recordings of the host's pools, some 370 kB each.
    ///
    /// # Errors
    /// [`AdminError::Recording`], [`AdminError::Socket`].
    pub fn recordings(&self) -> Result<Vec<Recording>, AdminError> {
        recordings(&self.files)
    }

    /// Returns whether a signal or a debugger has stopped the process. A stopped host does not
    /// answer.
    pub fn is_stopped(&self) -> bool {
        self.pid != 0 && process::is_stopped(self.pid)
    }

    /// Resolves once the process has been stopped for longer than a debugger or profiler needs.
    pub(super) async fn stopped(&self) -> AdminError {
        let mut looks = tokio::time::interval(STOPPED / LOOKS);
        let mut stopped = 0;
        while stopped <= LOOKS {
            looks.tick().await;
            stopped = if self.is_stopped() { stopped + 1 } else { 0 };
        }
        AdminError::Stopped {
            run: self.run.clone(),
            pid: self.pid,
        }
    }

    fn of(files: HostRun) -> Self {
        let meta = files.meta.as_ref();
        Self {
            run: files.run_id.to_string(),
            pid: meta.map_or(0, |meta| meta.host_pid),
            program: meta.map_or_else(String::new, |meta| meta.host_program.clone()),
            started: meta.map_or(0, |meta| meta.started),
            files,
        }
    }
}
