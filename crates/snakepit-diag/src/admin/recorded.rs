//! Recordings of a run, and the hosts that have ended.

use snakepit_registry::{HostRun, RECORDING};

use super::AdminError;
use crate::Recording;
use crate::recorder::HOST_TOOLS;

/// Highest number of pools of a host whose recordings are read.
pub(super) const POOLS: usize = 1024;

/// Highest number of pools of a host whose recordings are read for a list of hosts.
const LISTED: usize = 16;

/// The flight recordings of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// The id of the run.
    pub run: String,
    /// `true` if the host runs, and records on.
    pub running: bool,
    /// The recordings that can be read, one for each pool.
    pub pools: Vec<Recording>,
    /// The recording of the host tools. `None` if none was called.
    pub host_tools: Option<Recording>,
    /// Reasons for which other recordings are left out.
    pub problems: Vec<AdminError>,
    /// Number of pools whose recordings were not read because there are too many.
    pub not_read: usize,
}

/// A dead host whose directory or recordings are still there.
#[derive(Debug)]
#[non_exhaustive]
pub struct EndedHost {
    /// The id of its run.
    pub run: String,
    /// Process id that it had; 0 if its record is damaged.
    pub pid: u32,
    /// Name of its program. Empty if its record is damaged.
    pub program: String,
    /// Time of its start, in seconds since 1970; 0 if its record is damaged.
    pub started: u64,
    files: HostRun,
}

impl EndedHost {
    /// Reads the flight recordings of the host's pools.
    ///
    /// # Errors
    /// [`AdminError::Recording`] and [`AdminError::RecordingFile`] if none of them can be read.
    pub fn recordings(&self) -> Result<Recorded, AdminError> {
        Recorded::of(&self.files, POOLS)
    }

    /// Reads the flight recordings of the host's first 16 pools, for a list of hosts.
    ///
    /// # Errors
    /// As [`recordings`](Self::recordings).
    pub fn first_recordings(&self) -> Result<Recorded, AdminError> {
        Recorded::of(&self.files, LISTED)
    }

    /// Returns the time of the last sign of the host, in seconds since 1970: its last recorded
    /// event, or else its start.
    pub(super) fn last(&self) -> f64 {
        let recorded = self.first_recordings();
        let recorded = recorded.ok().and_then(|recorded| recorded.ended());
        recorded.map_or(self.started as f64, |ended| ended.max(self.started as f64))
    }

    pub(super) fn of(files: HostRun) -> Self {
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

impl Recorded {
    /// Returns the time of the last recorded event, in seconds since 1970. `None` if nothing was
    /// recorded.
    pub fn ended(&self) -> Option<f64> {
        let ends = self.pools.iter().map(Recording::ended);
        ends.max_by(f64::total_cmp)
    }

    /// Reads the recordings of a run, those of `most` pools. What cannot be read is left out,
    /// unless nothing can.
    pub(super) fn of(files: &HostRun, most: usize) -> Result<Self, AdminError> {
        let mut recorded = Self {
            run: files.run_id.to_string(),
            running: files.alive,
            pools: Vec::new(),
            host_tools: None,
            problems: Vec::new(),
            not_read: 0,
        };
        // A pool for whose file there was no room leaves a gap in the numbers.
        let names = files
            .recordings()
            .map_err(|source| AdminError::RecordingFile {
                run: recorded.run.clone(),
                file: format!("{RECORDING}*"),
                source,
            })?;
        recorded.not_read = names.len().saturating_sub(most);
        for name in names.iter().take(most) {
            match read(files, name) {
                Ok(Some(recording)) => recorded.pools.push(recording),
                // It was moved or removed in the meantime.
                Ok(None) => {}
                Err(problem) => recorded.problems.push(problem),
            }
        }
        match read(files, &format!("{RECORDING}{HOST_TOOLS}")) {
            Ok(recording) => recorded.host_tools = recording,
            Err(problem) => recorded.problems.push(problem),
        }
        if recorded.pools.is_empty() && !recorded.problems.is_empty() {
            return Err(recorded.problems.swap_remove(0));
        }
        Ok(recorded)
    }
}

/// Reads one recording. `None` if there is no such file.
fn read(files: &HostRun, file: &str) -> Result<Option<Recording>, AdminError> {
    let run = || files.run_id.to_string();
    let bytes = || {
        let bytes = files.read(file, Recording::BYTES);
        bytes.map_err(|source| AdminError::RecordingFile {
            run: run(),
            file: file.to_owned(),
            source,
        })
    };
    let Some(once) = bytes()? else {
        return Ok(None);
    };
    let recording = match files.alive {
        // The host writes meanwhile: a second copy shows which entries changed.
        true => bytes()?.and_then(|again| Recording::read_written(&once, &again)),
        false => Recording::read(&once).map(|mut recording| {
            recording.cut();
            recording
        }),
    };
    let bad = || AdminError::Recording {
        run: run(),
        file: file.to_owned(),
    };
    recording.map(Some).ok_or_else(bad)
}
