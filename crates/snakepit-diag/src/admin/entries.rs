//! The entries that a client receives one by one: stacks, events and lines.

use serde_json::Value as Json;
use snakepit_core::error::{StackFrame, Stacks, ThreadStack};

use super::pb;

/// The stacks of one worker.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct WorkerStacks {
    /// The pool's name.
    pub pool: String,
    /// The worker's id.
    pub worker: String,
    /// The worker's threads. `None` if it did not answer in time.
    pub stacks: Option<Stacks>,
}

/// An event of a host.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct EventEntry {
    /// Sequence number, from 1. A gap means that events in between were dropped.
    pub number: u64,
    /// The event as one flat object: `at`, `event`, and its fields.
    pub event: Json,
}

/// A line of output from a worker.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// Sequence number among the lines of all workers, from 1.
    pub number: u64,
    /// Time at which the host read the line, in seconds since 1970.
    pub at: f64,
    /// The worker's id.
    pub worker: String,
    /// `stdout`, `stderr`, or the name of a logger.
    pub source: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// The line without its line break.
    pub text: String,
    /// Number of lines before this one, of any worker, that the host no longer had when the reader
    /// was ready for them.
    #[serde(skip_serializing_if = "is_none")]
    pub lost: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_none(lost: &u64) -> bool {
    *lost == 0
}

impl From<pb::WorkerStacks> for WorkerStacks {
    fn from(message: pb::WorkerStacks) -> Self {
        let threads = message.threads.into_iter().map(|thread| ThreadStack {
            name: thread.name,
            id: thread.id,
            call: (thread.call > 0).then_some(thread.call),
            frames: thread
                .frames
                .into_iter()
                .map(|frame| StackFrame {
                    file: frame.file,
                    line: frame.line,
                    function: frame.function,
                })
                .collect(),
        });
        let stacks = Stacks {
            threads: threads.collect(),
            truncated: message.truncated,
        };
        Self {
            pool: message.pool,
            worker: message.worker,
            stacks: (!message.silent).then_some(stacks),
        }
    }
}

impl From<pb::LogRecord> for LogEntry {
    fn from(message: pb::LogRecord) -> Self {
        Self {
            number: message.number,
            at: message.at,
            worker: message.worker,
            source: message.source,
            level: message.level,
            text: message.text,
            lost: message.lost,
        }
    }
}
