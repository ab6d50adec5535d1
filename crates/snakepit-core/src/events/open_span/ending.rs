//! Facts that are known at the end of a span, of which its attributes are made later.

use std::sync::Arc;

use super::{number, text};
use crate::events::record::Attributes;
use crate::id::{PoolName, WorkerId};

/// The end of the work of a span.
pub(crate) enum Ending {
    /// The end of a call.
    Call(CallEnding),
    /// The end of a call of a host tool.
    HostTool {
        tool: Arc<str>,
        depth: u32,
        outcome: &'static str,
        code: Option<&'static str>,
    },
}

/// The end of a call.
pub(crate) struct CallEnding {
    pub(crate) pool: PoolName,
    pub(crate) tool: Arc<str>,
    pub(crate) call: u64,
    pub(crate) outcome: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) queued_us: u64,
    pub(crate) attempts: u32,
    /// The worker that had the call last. `None` if none had it.
    pub(crate) worker: Option<WorkerId>,
    /// Items of a batch, and those of them that failed. `None` for one call.
    pub(crate) items: Option<(u64, u64)>,
    /// Chunks of a stream.
    pub(crate) chunks: Option<u64>,
    pub(crate) first_chunk_us: Option<u64>,
}

impl Ending {
    /// Approximate bytes of the texts.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Call(CallEnding { tool, .. }) | Self::HostTool { tool, .. } => tool.len(),
        }
    }

    /// Makes the attributes.
    pub(super) fn attributes(self) -> Attributes {
        match self {
            Self::Call(call) => call.attributes(),
            Self::HostTool {
                tool,
                depth,
                outcome,
                code,
            } => {
                let mut attributes = vec![
                    text("snakepit.tool", tool),
                    number("snakepit.depth", depth.into()),
                    text("snakepit.outcome", outcome),
                ];
                attributes.extend(code.map(|code| text("error.type", code)));
                attributes
            }
        }
    }
}

impl CallEnding {
    fn attributes(self) -> Attributes {
        let mut attributes = Attributes::with_capacity(8);
        attributes.extend([
            text("snakepit.pool", &self.pool),
            text("snakepit.tool", self.tool),
            number("snakepit.call.id", self.call),
            text("snakepit.outcome", self.outcome),
            number("snakepit.queue.duration_us", self.queued_us),
            number("snakepit.attempts", self.attempts.into()),
        ]);
        attributes.extend(self.worker.map(|worker| text("snakepit.worker", &worker)));
        attributes.extend(self.code.map(|code| text("error.type", code)));
        if let Some((items, failed)) = self.items {
            attributes.push(number("snakepit.items", items));
            attributes.push(number("snakepit.items.failed", failed));
        }
        let chunks = self.chunks;
        attributes.extend(chunks.map(|chunks| number("snakepit.stream.chunks", chunks)));
        let first = self.first_chunk_us;
        attributes.extend(first.map(|us| number("snakepit.stream.first_chunk_us", us)));
        attributes
    }
}
