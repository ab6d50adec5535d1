//! Streaming calls.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{self, TryStreamExt as _};
use snakepit_core::call::Request;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::value::Payload;
use snakepit_core::worker::{CallError, ChunkStream};
use tonic::Streaming;

use super::calls::{Running, cancelled};
use super::encode::with_headers;
use super::failure::died;
use super::{GrpcWorker, decode};
use crate::frame::Kind;
use crate::pb;

/// Time that a worker has to end a stream whose chunks cannot be read.
const END: Duration = Duration::from_secs(5);

/// A stream that the worker has accepted.
struct Chunks {
    worker: Arc<GrpcWorker>,
    running: Running,
    request: Request,
    /// The messages. `None` after the last one.
    messages: Option<Streaming<pb::ToolChunk>>,
}

impl GrpcWorker {
    /// Runs a streaming call. The stream ends once the tool has ended, or the worker can no longer
    /// be used.
    pub fn stream(self: Arc<Self>, request: Request) -> ChunkStream {
        let opened = stream::once(self.open_stream(request));
        Box::pin(opened.try_flatten())
    }

    async fn open_stream(self: Arc<Self>, request: Request) -> Result<ChunkStream, CallError> {
        let running = Running::begin(&self, &request);
        match self.begin_stream(&running, &request).await {
            Ok(messages) => {
                let chunks = Chunks {
                    worker: self,
                    running,
                    request,
                    messages: Some(messages),
                };
                let items = stream::unfold(chunks, |mut chunks| async {
                    let item = chunks.next().await?;
                    Some((item, chunks))
                });
                Ok(Box::pin(items) as Pin<Box<_>>)
            }
            Err(error) => {
                running.end(Some(&error));
                Err(error)
            }
        }
    }

    async fn begin_stream(
        &self,
        running: &Running,
        request: &Request,
    ) -> Result<Streaming<pb::ToolChunk>, CallError> {
        if !self.can.stream {
            let message = "the worker has no streaming tools: it lacks the capability `stream`";
            let mut error = ToolError::new(ErrorCode::WrongCallKind, message);
            error.help = "call the tool without a stream".to_owned();
            return Err(CallError::Tool(Box::new(error)));
        }
        if running.cancelled.is_cancelled() {
            return Err(cancelled());
        }
        let span = self.spans.begin(Kind::Stream, request);
        let message = with_headers(self.message(request, &request.args, span, true)?, span);
        let mut client = self.calls.clone();
        let opened = tokio::select! {
            biased;
            opened = client.execute_streaming_tool(message) => opened,
            reason = self.broken() => return Err(died(reason)),
        };
        let opened = opened.map_err(|status| self.failed(&status, "ExecuteStreamingTool"))?;
        self.refusals.store(0, Ordering::Relaxed);
        Ok(opened.into_inner())
    }
}

impl Chunks {
    async fn next(&mut self) -> Option<Result<Payload, CallError>> {
        loop {
            let messages = self.messages.as_mut()?;
            let message = tokio::select! {
                biased;
                message = messages.message() => message,
                reason = self.worker.broken() => {
                    self.messages = None;
                    let error = died(reason);
                    self.running.end(Some(&error));
                    return Some(Err(error));
                }
            };
            let chunk = match message {
                Ok(Some(chunk)) => decode::chunk(&self.request.tool, chunk),
                Ok(None) => {
                    self.messages = None;
                    self.running.end(None);
                    return None;
                }
                Err(status) => {
                    let error = self.worker.failed(&status, "ExecuteStreamingTool");
                    if let CallError::TooLarge { .. } = error {
                        // The gRPC call has ended here, but the tool continues.
                        self.worker.cut("sent a chunk above the limit");
                    }
                    self.messages = None;
                    Err(error)
                }
            };
            let fits = |chunk| self.worker.fits(chunk);
            let error = match chunk.and_then(|chunk| chunk.map(fits).transpose()) {
                Ok(Some(chunk)) => return Some(Ok(chunk)),
                // The mark of the end; the stream itself ends next.
                Ok(None) => continue,
                Err(error) => error,
            };
            let messages = self.messages.take();
            if let (CallError::Tool(_) | CallError::TooLarge { .. }, Some(messages)) =
                (&error, messages)
            {
                self.end_tool(messages).await;
            }
            self.running.end(Some(&error));
            return Some(Err(error));
        }
    }

    /// Waits for the end of a tool whose stream has failed, after an error of this side. If it does
    /// not end, the worker is given up: the slot may not be used while the tool runs.
    async fn end_tool(&self, mut messages: Streaming<pb::ToolChunk>) {
        self.worker.cancel(self.request.call, END);
        let rest = async { while let Ok(Some(_)) = messages.message().await {} };
        if tokio::time::timeout(END, rest).await.is_err() {
            let tool = &self.request.tool;
            let reason = format!("did not end the stream of tool `{tool}`, which had failed");
            self.worker.cut(&reason);
        }
    }
}
