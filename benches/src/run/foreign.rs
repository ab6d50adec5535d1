//! Echo of a short text by workers that are not ours: the cost of the pool beside that of a bare
//! tonic client of the same server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use snakepit::{CommandConfig, CommandRuntime, HostState, HostStateConfig, PoolBuilder, args};
use snakepit_grpc::pb;
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use snakepit_grpc::service::{BridgeServer, ServeOptions, Serving};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::host::{Host, multi_thread};
use crate::load::closed;
use crate::row::{Row, Target};
use crate::run::{CALLS, rows};

const BENCH: &str = "foreign";

/// Text that is sent there and back.
const TEXT: &str = "0123456789abcdef0123456789abcdef";

/// Time for the start of a server.
const START: Duration = Duration::from_secs(30);

/// A worker of another kind than ours.
struct Kind {
    case: &'static str,
    command: CommandConfig,
    /// The message of a call of `echo`.
    message: pb::ExecuteToolRequest,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let stubs = tempfile::tempdir()?;
    let kinds = [node(), grpcio(&plan.pythons.peers, stubs.path())];
    let mut table = Vec::new();
    for kind in kinds.into_iter().flatten() {
        let bare = Bare::start(&kind)?;
        let pool = PoolBuilder::with_command("bench", kind.command.clone());
        let host = Host::with(multi_thread()?, pool.workers(1))?;
        let mut entrants = [
            Entrant::ours(|| ours(&host, plan.turn)),
            Entrant::floor(|| bare.round(plan.turn)),
        ];
        let series = alternate(plan.rounds, &mut entrants)?;
        let target = [("p50", Target::FloorAtMost(1.1, 0.0))];
        table.extend(rows((BENCH, kind.case), &CALLS, &series, &target));
    }
    Ok(table)
}

fn root() -> PathBuf {
    Path::new(crate::HOME).join("..")
}

/// Returns true if a command succeeds.
fn succeeds(command: &mut Command) -> bool {
    let silent = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

/// Returns the example in Node. `None` if Node or its packages are not installed.
fn node() -> Option<Kind> {
    let example = root().join("examples/workers/node");
    let require = ["-e", "require('@grpc/grpc-js')"];
    succeeds(Command::new("node").args(require).current_dir(&example)).then_some(())?;
    let mut command = CommandConfig::node("worker.js");
    command.working_dir = Some(example);
    command.inherit_env = vec!["NODE_PATH".to_owned()];
    let message = pb::ExecuteToolRequest {
        payload: format!("{{\"value\":\"{TEXT}\"}}").into(),
        encoding: pb::Encoding::Json.into(),
        ..pb::ExecuteToolRequest::default()
    };
    Some(Kind {
        case: "Node, 1 in flight",
        command,
        message,
    })
}

/// Returns the worker on grpcio of the tests. `None` if the interpreter has no `grpc_tools`.
fn grpcio(python: &Path, stubs: &Path) -> Option<Kind> {
    let proto = root().join("proto");
    let out = |kind: &str| format!("--{kind}_out={}", stubs.display());
    let mut generate = Command::new(python);
    generate.args(["-m", "grpc_tools.protoc", "-I"]).arg(&proto);
    generate.args([out("python"), out("grpc_python")]);
    succeeds(generate.arg(proto.join("snakepit_bridge.proto"))).then_some(())?;
    let script = root().join("python/tests/grpc/worker.py");
    let mut command = CommandConfig::original(script.to_string_lossy(), "none");
    command.program = python.to_owned();
    command.env.insert(
        "PYTHONPATH".to_owned(),
        stubs.to_string_lossy().into_owned(),
    );
    let text = prost_types::Any {
        type_url: "type.googleapis.com/google.protobuf.StringValue".to_owned(),
        value: format!("\"{TEXT}\"").into(),
    };
    let message = pb::ExecuteToolRequest {
        session_id: "bare".to_owned(),
        parameters: [("value".to_owned(), text)].into(),
        ..pb::ExecuteToolRequest::default()
    };
    Some(Kind {
        case: "grpcio, 1 in flight",
        command,
        message,
    })
}

fn ours(host: &Host, turn: Duration) -> Result<Figures> {
    let caller = host.caller();
    let call = move || {
        let caller = caller.clone();
        async move {
            let echo = caller.snakepit().execute("echo", args! { "value" => TEXT });
            let back: String = echo.await?;
            if back == TEXT {
                Ok(())
            } else {
                Err("the echo differs".into())
            }
        }
    };
    Ok(host.runtime().block_on(closed(1, turn, call))?.figures())
}

/// The same server, started by hand, and a client of it.
struct Bare {
    client: BridgeServiceClient<Channel>,
    message: pb::ExecuteToolRequest,
    runtime: Runtime,
    child: Child,
    _host: Serving,
    _dir: TempDir,
}

impl Bare {
    fn start(kind: &Kind) -> Result<Self> {
        let (dir, runtime) = (tempfile::tempdir()?, multi_thread()?);
        let (socket, ready) = (dir.path().join("s"), dir.path().join("r"));
        let name = format!("snakepit-bench-{}", std::process::id());
        let host = runtime.block_on(async {
            let server = BridgeServer::new(HostState::new(HostStateConfig::new())?);
            let serving = server.serve_abstract(&name, &ServeOptions::new()).await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(serving)
        })?;
        let config = &kind.command;
        let mut command = Command::new(&config.program);
        command.args(&config.args).envs(&config.env);
        if config.runtime == CommandRuntime::Original {
            let address = host.address().to_string();
            command.args(["--port", "0", "--elixir-address", &address]);
        }
        if let Some(dir) = &config.working_dir {
            command.current_dir(dir);
        }
        let child = command
            .env("SNAKEPIT_WORKER_SOCKET", &socket)
            .env("SNAKEPIT_WORKER_SLOTS", "1")
            .env("SNAKEPIT_READY_FILE", &ready)
            .stdin(Stdio::null())
            .spawn()?;
        let begin = Instant::now();
        let channel = loop {
            let address = match std::fs::read_to_string(&ready) {
                Ok(port) => format!("http://127.0.0.1:{port}"),
                Err(_) => format!("unix://{}", socket.display()),
            };
            let endpoint = Endpoint::from_shared(address)?;
            match runtime.block_on(endpoint.connect()) {
                Ok(channel) => break channel,
                Err(error) if begin.elapsed() > START => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let mut message = kind.message.clone();
        message.tool_name = "echo".to_owned();
        Ok(Self {
            client: BridgeServiceClient::new(channel),
            message,
            runtime,
            child,
            _host: host,
            _dir: dir,
        })
    }

    fn round(&self, turn: Duration) -> Result<Figures> {
        let (client, message) = (self.client.clone(), self.message.clone());
        let call = move || {
            let (mut client, message) = (client.clone(), message.clone());
            async move {
                let answer = client.execute_tool(message).await?.into_inner();
                if answer.success {
                    Ok(())
                } else {
                    Err(format!("{answer:?}").into())
                }
            }
        };
        Ok(self.runtime.block_on(closed(1, turn, call))?.figures())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
