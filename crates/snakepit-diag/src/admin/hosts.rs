//! The hosts that run on this machine, for this user.

use std::path::Path;
use std::time::Duration;

use snakepit_registry::{Error, HostRun, RECORDING, Registry};

use super::AdminError;
use crate::{Recording, process};

/// How long a host is stopped before that is an error: tools that look at a process stop it for some milliseconds.
const STOPPED: Duration = Duration::from_millis(500);
/// How often it is looked at in that time.
const LOOKS: u32 = 10;

/// Pools of a host whose recordings are looked for.
const POOLS: usize = 1024;

/// The hosts that record their workers in one data directory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Hosts {
    /// Those that run, in the order of their start.
    pub running: Vec<RunningHost>,
    /// Those that are dead and have left their directory, in the order of their start.
    pub dead: Vec<HostRun>,
    /// Why runs are left out: something of them is not trusted.
    pub problems: Vec<Error>,
    data_dir: std::path::PathBuf,
}

/// A host that runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct RunningHost {
    /// Its run.
    pub run: String,
    /// Process id; 0 if its record is damaged.
    pub pid: u32,
    /// Program.
    pub program: String,
    /// When it started, in seconds since 1970; 0 if its record is damaged.
    pub started: u64,
    pub(super) files: HostRun,
}

impl Hosts {
    /// Looks for hosts. Reads a few files for each, and blocks while it does.
    ///
    /// # Errors
    /// [`AdminError::DataDir`] if the directory cannot be trusted. One that is not there has no hosts.
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

    /// The flight recordings of a run, one for each pool; the run is named as for [`named`](Self::named), and its host may be dead. Without
    /// a name it is that of the host that died last, or the only one that runs.
    ///
    /// # Errors
    /// [`AdminError::UnknownRun`], [`AdminError::NoHost`], [`AdminError::SeveralHosts`], [`AdminError::Recording`], [`AdminError::Socket`].
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

    /// The only host.
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

    /// The host of a run, named by its id or by the beginning of it that no other run has.
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

/// The recordings of a run.
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
            // Its host writes.
            true => read()?.and_then(|again| Recording::read_written(&bytes, &again)),
            false => Recording::read(&bytes),
        };
        recordings.push(recording.ok_or_else(|| AdminError::Recording { run: run(), file })?);
    }
    Ok(recordings)
}

impl RunningHost {
    /// The flight recordings of its pools as they are now. Reads some 370 kB for each.
    ///
    /// # Errors
    /// [`AdminError::Recording`], [`AdminError::Socket`].
    pub fn recordings(&self) -> Result<Vec<Recording>, AdminError> {
        recordings(&self.files)
    }

    /// Whether a signal or a debugger has stopped its process: it answers nothing until it goes on.
    pub fn is_stopped(&self) -> bool {
        self.pid != 0 && process::is_stopped(self.pid)
    }

    /// Resolves when its process has been stopped for so long that it is not by accident.
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
