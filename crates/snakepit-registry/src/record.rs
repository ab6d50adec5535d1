//! The stored record of a worker and its encoding.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cookie::Cookie;
use crate::identity::ProcessIdentity;

/// Version of the rows. It changes when an older program could misread them.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 3] = b"SPR";
const HEADER: usize = 3 + 1 + 8;
const MAX_ID: usize = 128;

/// The stage of a worker's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessState {
    /// A process may be started at any moment; its id is not known yet.
    Reserved,
    /// The process runs and is identified.
    Spawned,
    /// The process serves calls.
    Ready,
    /// The process is being stopped.
    Stopping,
}

/// One worker of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The worker id that the caller chose.
    pub worker_id: String,
    /// Number of the reservation within its run. Each restart of a worker has a row of its own.
    pub generation: u64,
    /// The stage that the worker has reached.
    pub state: ProcessState,
    /// The mark in the worker's environment.
    pub cookie: Cookie,
    /// `true` if the kernel kills the worker's group when the host's end of the death pipe closes.
    pub armed: bool,
    /// The identity of the process; known from `Spawned` on.
    pub identity: Option<ProcessIdentity>,
    /// The shim between host and process, if there is one.
    pub shim: Option<ProcessIdentity>,
    /// The control group of the process, if it has one of its own.
    pub cgroup: Option<PathBuf>,
}

/// The reason a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The row does not begin with the header of a record.
    #[error("a row is not a record")]
    NotARecord,
    /// The row was written by another version.
    #[error("a row has format {0}")]
    Version(u8),
    /// The whole database was written by another version.
    #[error("the rows have format {0}")]
    Format(u32),
    /// The row's bytes have changed.
    #[error("a row has a wrong checksum")]
    Checksum,
    /// The row's fields are not the expected ones.
    #[error("a row has unexpected fields: {0}")]
    Fields(String),
}

impl Record {
    /// Returns the key of the row.
    pub fn key(&self) -> String {
        format!("{}#{}", self.worker_id, self.generation)
    }

    /// Encodes the record: magic, version, checksum, then the fields as JSON.
    pub fn encode(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).expect("a record has only string keys");
        let mut row = Vec::with_capacity(HEADER + body.len());
        row.extend_from_slice(MAGIC);
        row.push(FORMAT as u8);
        row.extend_from_slice(&checksum(&body).to_le_bytes());
        row.extend_from_slice(&body);
        row
    }

    /// Decodes a row.
    ///
    /// # Errors
    /// The bytes are not what [`encode`](Self::encode) of this version wrote.
    pub fn decode(row: &[u8]) -> Result<Self, RecordError> {
        let version = match row.strip_prefix(MAGIC.as_slice()) {
            Some([version, ..]) if row.len() >= HEADER => *version,
            _ => return Err(RecordError::NotARecord),
        };
        if u32::from(version) != FORMAT {
            return Err(RecordError::Version(version));
        }
        let (head, body) = row.split_at(HEADER);
        if head[4..] != checksum(body).to_le_bytes() {
            return Err(RecordError::Checksum);
        }
        let fields = |text: &dyn std::fmt::Display| RecordError::Fields(text.to_string());
        let record: Self = serde_json::from_slice(body).map_err(|e| fields(&e))?;
        Self::check_worker_id(&record.worker_id).map_err(|problem| fields(&problem))?;
        Ok(record)
    }

    /// Checks a worker id and returns the first problem found.
    pub(crate) fn check_worker_id(id: &str) -> Result<(), &'static str> {
        match id {
            "" => Err("it is empty"),
            _ if id.len() > MAX_ID => Err("it is longer than 128 bytes"),
            _ if id.chars().any(char::is_control) => Err("it holds a control character"),
            _ => Ok(()),
        }
    }
}

/// FNV-1a, 64 bits. Every change of a single byte changes it.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
