//! The results of a tool as a stream of chunks, the last of which reports the outcome.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::value::Payload;
use tokio::time::Instant;
use tonic::Status;

use super::arguments::{self, Form};
use super::peer_tools::Registered;
use super::status::{Fault, from_tool};
use crate::pb;

/// The party that runs a tool.
#[derive(Clone, Debug)]
pub(super) enum Served {
    /// The host.
    Local,
    /// A worker of a pool, or the peer that has registered the tool.
    Remote(Option<Registered>),
}

impl Served {
    /// Returns the metadata that clients receive about it.
    pub(super) fn metadata(&self) -> HashMap<String, String> {
        let (kind, worker) = match self {
            Self::Local => ("local", None),
            Self::Remote(worker) => ("remote", worker.as_ref().map(|it| &it.worker)),
        };
        let mut metadata = HashMap::from([("tool_type".to_owned(), kind.to_owned())]);
        if let Some(worker) = worker {
            metadata.insert("worker_id".to_owned(), worker.to_string());
        }
        metadata
    }
}

/// The chunks of one call.
pub(super) struct Chunks {
    tool: String,
    form: Form,
    /// Largest size of JSON text in one chunk, in bytes.
    limit: usize,
    served: Served,
    started: Instant,
    sent: u64,
    /// The results. `None` after the last chunk or an error.
    source: Option<BoxStream<'static, Result<Payload, Fault>>>,
}

impl Chunks {
    /// Creates chunks of these results, with at most `limit` bytes of JSON text in each. A panic of
    /// the source becomes its last error.
    pub(super) fn new(
        tool: &str,
        form: Form,
        limit: usize,
        served: Served,
        source: impl Stream<Item = Result<Payload, Fault>> + Send + 'static,
    ) -> Self {
        let source = AssertUnwindSafe(source).catch_unwind();
        let source = source.map(|item| item.unwrap_or_else(|_| Err(panicked())));
        Self {
            tool: tool.to_owned(),
            form,
            limit,
            served,
            started: Instant::now(),
            sent: 0,
            source: Some(source.boxed()),
        }
    }

    /// Converts the chunks into a stream of messages. Dropping it drops the source.
    pub(super) fn into_stream(self) -> BoxStream<'static, Result<pb::ToolChunk, Status>> {
        stream::unfold(self, |mut chunks| async {
            let item = chunks.next().await?;
            Some((item, chunks))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<pb::ToolChunk, Status>> {
        let item = self.source.as_mut()?.next().await;
        let chunk = match item {
            Some(Ok(payload)) => self.chunk(&payload).await,
            Some(Err(error)) => Err(error),
            None => {
                self.source = None;
                return Some(Ok(self.last()));
            }
        };
        if chunk.is_err() {
            self.source = None;
        }
        Some(chunk.map_err(from_tool))
    }

    async fn chunk(&mut self, payload: &Payload) -> Result<pb::ToolChunk, Fault> {
        let (form, limit) = (self.form, self.limit);
        let work = move |payload: &Payload| arguments::chunk(payload, form, limit);
        let (data, encoding) = arguments::apart(payload, work).await?;
        self.sent += 1;
        let mut chunk = pb::ToolChunk {
            chunk_id: format!("{}-{}", self.tool, self.sent),
            data,
            ..pb::ToolChunk::default()
        };
        chunk.set_encoding(encoding);
        Ok(chunk)
    }

    fn last(&self) -> pb::ToolChunk {
        let mut metadata = self.served.metadata();
        let millis = self.started.elapsed().as_millis();
        metadata.insert("execution_time_ms".to_owned(), millis.to_string());
        metadata.insert("chunks_sent".to_owned(), self.sent.to_string());
        metadata.insert("synthetic_final".to_owned(), "true".to_owned());
        pb::ToolChunk {
            chunk_id: format!("sp-final-{}", self.sent + 1),
            is_final: true,
            metadata,
            ..pb::ToolChunk::default()
        }
    }
}

/// Returns the error that reports a panic to a client; the panic itself was logged where it
/// happened.
pub(super) fn panicked() -> Fault {
    ToolError::new(
        ErrorCode::HostToolPanicked,
        "the host panicked while it ran the call",
    )
    .into()
}
