//! A profile of one's own: workers that speak lines of JSON on a Unix socket. They are recorded,
//! contained and logged as those of the other profiles, and have sessions and host tools.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use snakepit::core::call::Request;
use snakepit::core::host_tools::ToolCall;
use snakepit::core::id::Slot;
use snakepit::core::worker::{CallError, StartContext, Worker, WorkerExit, WorkerInfo};
use snakepit::profiles::registry::CommandSpec;
use snakepit::profiles::{Process, WorkerDir};
use snakepit::{
    Containment, ContainmentMode, ErrorCode, Payload, ProfileContext, ProfileFactory, StartError,
    ToolError, ToolFailure, WorkerProfile,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Creates the profile for workers of this script.
#[derive(Debug)]
pub(crate) struct Lines(pub(crate) PathBuf);

#[async_trait]
impl ProfileFactory for Lines {
    async fn make(&self, context: ProfileContext) -> Result<Arc<dyn WorkerProfile>, StartError> {
        let script = self.0.clone();
        Ok(Arc::new(LineProfile { script, context }))
    }
}

#[derive(Debug)]
struct LineProfile {
    script: PathBuf,
    context: ProfileContext,
}

#[async_trait]
impl WorkerProfile for LineProfile {
    fn slots(&self) -> NonZeroU16 {
        NonZeroU16::MIN
    }

    fn containment(&self) -> Containment {
        self.context.containment(ContainmentMode::default())
    }

    async fn start(&self, start: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let dir = self.context.worker_dir().await?;
        let socket = dir.path().join("s");
        let failed = |error| StartError::new(ErrorCode::StartFailed, format!("no socket: {error}"));
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        let mut command = CommandSpec::new("/usr/bin/env");
        command.args = vec!["python3".into(), self.script.clone().into(), socket.into()];
        command.env = self.context.environment(&[], &Default::default());
        let process = self.context.spawn(command, &start).await?;
        let stream = tokio::select! {
            accepted = timeout(start.timeout, listener.accept()) => match accepted {
                Ok(accepted) => accepted.map_err(failed)?.0,
                Err(_) => return Err(process.start_error("it did not connect in time")),
            },
            exit = process.exited() => {
                let reason = exit.reason;
                return Err(process.start_error(format!("it {reason} before it connected")));
            }
        };
        process.note_ready();
        let mut info = WorkerInfo::default();
        info.pid = Some(process.pid());
        let context = self.context.clone();
        let stream = Mutex::new(BufStream::new(stream));
        Ok(Arc::new(LineWorker {
            info,
            process,
            stream,
            context,
            _dir: dir,
        }))
    }
}

#[derive(Debug)]
struct LineWorker {
    info: WorkerInfo,
    process: Process,
    stream: Mutex<BufStream<UnixStream>>,
    context: ProfileContext,
    _dir: WorkerDir,
}

#[async_trait]
impl Worker for LineWorker {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    async fn call(self: Arc<Self>, _: Slot, request: Request) -> Result<Payload, CallError> {
        match self.run(&request).await {
            Ok(result) => result.map_err(|failure| CallError::Tool(failure.into_error())),
            // Without its connection, the worker is of no use.
            Err(error) => {
                self.process
                    .kill_for(&format!("lost its connection: {error}"));
                let exit = Box::new(self.process.exited().await);
                Err(CallError::Died {
                    exit,
                    ambiguous: true,
                })
            }
        }
    }

    async fn closed(&self) -> WorkerExit {
        self.process.gone().await
    }

    async fn stop(&self, grace: Duration) {
        self.process.stop(grace).await;
    }
}

impl LineWorker {
    /// Sends a call and answers the worker's requests until it answers the call.
    async fn run(&self, request: &Request) -> std::io::Result<Result<Payload, ToolFailure>> {
        let mut stream = self.stream.lock().await;
        let args: Json = match request.args.decode() {
            Ok(args) => args,
            Err(error) => return Ok(Err(error.into())),
        };
        let mut message = json!({"tool": &*request.tool, "args": args});
        loop {
            stream.write_all(format!("{message}\n").as_bytes()).await?;
            stream.flush().await?;
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let answer: Json = serde_json::from_str(&line)?;
            if let Some(result) = answer.get("result") {
                return Ok(Payload::encode(result).map_err(Into::into));
            } else if let Some(error) = answer["error"].as_str() {
                let error = ToolError::new(ErrorCode::ToolRaised, error);
                return Ok(Err(error.into()));
            }
            message = match self.serve(request, &answer).await {
                Ok(result) => json!({"result": result}),
                Err(failure) => json!({"error": failure.into_error().message}),
            };
        }
    }

    /// Calls a host tool for the worker, or reads a variable of the call's session.
    async fn serve(&self, request: &Request, asked: &Json) -> Result<Json, ToolFailure> {
        let state = self.context.state();
        if let Some(name) = asked["variable"].as_str() {
            let session = request.session.as_ref();
            let session = session.ok_or_else(|| ToolFailure::new("the call has no session"))?;
            let variable = state.sessions().get(session)?.variable(name)?;
            return Ok(variable.value.to_json()?);
        }
        let mut call = ToolCall::new();
        call.session.clone_from(&request.session);
        call.deadline = request.deadline;
        let name = asked["host_tool"].as_str().unwrap_or_default();
        let result = state
            .tools()
            .call(call, name, Payload::encode(&asked["args"])?)
            .await;
        Ok(result.map_err(|error| *error)?.decode()?)
    }
}
