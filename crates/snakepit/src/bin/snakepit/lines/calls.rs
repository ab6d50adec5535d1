//! The calls of an executable: each is a line, and so is each answer.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream;
use serde_json::{Value as Json, json};
use snakepit::grpc::{WorkerChunks, WorkerTools};
use snakepit::{ErrorCode, ToolError};
use snakepit_grpc::pb;
use tokio::sync::mpsc;

use super::description::Description;
use super::reply::LineReply;

/// The calls that are running. Cheap to clone.
#[derive(Clone)]
pub(super) struct Calls(Arc<Inner>);

struct Inner {
    /// The input of the executable.
    lines: mpsc::Sender<String>,
    running: Mutex<HashMap<u64, mpsc::UnboundedSender<LineReply>>>,
    description: Description,
    message: pb::DescribeResponse,
}

/// One running call. Dropping it forgets the call.
struct Running {
    calls: Calls,
    id: u64,
    answers: mpsc::UnboundedReceiver<LineReply>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.calls.running().remove(&self.id);
    }
}

impl Calls {
    pub(super) fn new(
        lines: mpsc::Sender<String>,
        description: Description,
        program: &Path,
    ) -> Self {
        let slots = std::env::var("SNAKEPIT_WORKER_SLOTS").ok();
        let slots = slots.and_then(|text| text.parse().ok()).unwrap_or(1);
        let runtime = program.file_name().unwrap_or_default().to_string_lossy();
        Self(Arc::new(Inner {
            lines,
            running: Mutex::default(),
            message: description.message(&runtime, slots),
            description,
        }))
    }

    /// Takes a line of the executable. Returns false if it is no answer to a call.
    pub(super) fn take(&self, line: &str) -> bool {
        let Some((id, reply)) = LineReply::read(line) else {
            return false;
        };
        // An answer to a call that the host has abandoned has no receiver.
        if let Some(receiver) = self.running().get(&id) {
            let _ = receiver.send(reply);
        }
        true
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, mpsc::UnboundedSender<LineReply>>> {
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a call to the executable.
    async fn begin(&self, request: &pb::ExecuteToolRequest) -> Result<Running, ToolError> {
        let id = request.call_id;
        let known = self.0.description.tools.iter();
        let mut known = known.filter(|tool| tool.name == request.tool_name);
        let Some(tool) = known.next() else {
            let message = format!("no tool is named `{}`", request.tool_name);
            return Err(ToolError::new(ErrorCode::UnknownTool, message));
        };
        if tool.streaming != request.stream {
            let kind = if tool.streaming {
                "returns a stream"
            } else {
                "returns no stream"
            };
            let message = format!("tool `{}` {kind}", tool.name);
            return Err(ToolError::new(ErrorCode::WrongCallKind, message));
        }
        let args = match std::str::from_utf8(&request.payload) {
            Ok("" | "null") => "{}",
            Ok(text) if text.starts_with('{') => text,
            _ => {
                let message = format!("tool `{}` accepts named arguments only", tool.name);
                return Err(ToolError::new(ErrorCode::InvalidArguments, message));
            }
        };
        let (sender, answers) = mpsc::unbounded_channel();
        self.running().insert(id, sender);
        let running = Running {
            calls: self.clone(),
            id,
            answers,
        };
        let (name, session) = (json!(tool.name), json!(request.session_id));
        // The arguments come last, so that simple programs can cut them out.
        let line =
            format!("{{\"id\":{id},\"tool\":{name},\"session\":{session},\"args\":{args}}}\n");
        if self.0.lines.send(line).await.is_err() {
            return Err(ended());
        }
        Ok(running)
    }

    /// Sends a message that has no answer.
    fn send(&self, message: &Json) {
        // Without room the executable reads nothing, and would not notice.
        let _ = self.0.lines.try_send(format!("{message}\n"));
    }
}

fn ended() -> ToolError {
    ToolError::new(ErrorCode::ToolRaised, "the program has ended")
}

fn failed(call_id: u64, error: ToolError) -> pb::ExecuteToolResponse {
    pb::ExecuteToolResponse {
        call_id,
        error_message: error.to_string(),
        error: Some(snakepit_grpc::convert::tool_error_message(error)),
        ..pb::ExecuteToolResponse::default()
    }
}

#[async_trait]
impl WorkerTools for Calls {
    fn describe(&self) -> pb::DescribeResponse {
        self.0.message.clone()
    }

    async fn execute(&self, request: pb::ExecuteToolRequest) -> pb::ExecuteToolResponse {
        let id = request.call_id;
        let mut running = match self.begin(&request).await {
            Ok(running) => running,
            Err(error) => return failed(id, error),
        };
        let result = match running.answers.recv().await {
            Some(LineReply::Result(result)) => result,
            Some(LineReply::Error(error)) => return failed(id, error),
            Some(LineReply::Chunk(_) | LineReply::End) => {
                let message = "the program has answered a call as if it were a stream";
                return failed(id, ToolError::new(ErrorCode::WrongCallKind, message));
            }
            None => return failed(id, ended()),
        };
        let mut response = pb::ExecuteToolResponse {
            call_id: id,
            success: true,
            payload: result.to_string().into_bytes().into(),
            ..pb::ExecuteToolResponse::default()
        };
        response.set_encoding(pb::Encoding::Json);
        response
    }

    fn stream(&self, request: pb::ExecuteToolRequest) -> WorkerChunks {
        let calls = self.clone();
        let begin = async move { calls.begin(&request).await };
        let opened = stream::once(begin);
        let chunks = futures_util::StreamExt::flat_map(opened, |opened| {
            let state = match opened {
                Ok(running) => Ok(Some(running)),
                Err(error) => Err(Some(error)),
            };
            stream::unfold(state, next)
        });
        Box::pin(chunks)
    }

    fn cancel(&self, call: u64) {
        if self.0.description.cancel && self.running().contains_key(&call) {
            self.send(&json!({ "cancel": call }));
        }
    }

    fn end_session(&self, session: &str) {
        if self.0.description.sessions {
            self.send(&json!({ "session_ended": session }));
        }
    }
}

type Chunk = Result<pb::ToolChunk, Box<ToolError>>;
type Source = Result<Option<Running>, Option<ToolError>>;

/// Returns the next chunk of a stream; an error is the last one.
async fn next(source: Source) -> Option<(Chunk, Source)> {
    let mut running = match source {
        Ok(running) => running?,
        Err(error) => return Some((Err(Box::new(error?)), Err(None))),
    };
    match running.answers.recv().await {
        Some(LineReply::Chunk(chunk)) => {
            let mut message = pb::ToolChunk {
                data: chunk.to_string().into_bytes().into(),
                ..pb::ToolChunk::default()
            };
            message.set_encoding(pb::Encoding::Json);
            Some((Ok(message), Ok(Some(running))))
        }
        Some(LineReply::End) => None,
        Some(LineReply::Error(error)) => Some((Err(Box::new(error)), Ok(None))),
        Some(LineReply::Result(_)) => {
            let message = "the program has answered a stream as if it were a call";
            let error = ToolError::new(ErrorCode::WrongCallKind, message);
            Some((Err(Box::new(error)), Ok(None)))
        }
        None => Some((Err(Box::new(ended())), Ok(None))),
    }
}
