//! A host with some tools and a gateway that runs a few made-up tools of workers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use snakepit_core::error::{Error, ErrorCode, ToolError};
use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool, ToolFailure};
use snakepit_core::state::Session;
use snakepit_core::value::{Payload, Value};
use snakepit_core::worker::ToolInfo;
use snakepit_grpc::service::{BridgeServer, Gateway, GatewayCall, GatewayStream, PeerTool};
use tokio::sync::Semaphore;

/// Two numbers.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Pair {
    a: i64,
    b: i64,
}

/// The requested number of results.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Count {
    n: i64,
}

/// No arguments.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

/// Counts the calls that have begun and those that were dropped.
#[derive(Clone)]
pub(crate) struct Signals {
    pub(crate) begun: Arc<Semaphore>,
    pub(crate) dropped: Arc<Semaphore>,
    /// `true` if the pools have workers.
    pub(crate) ready: Arc<AtomicBool>,
}

impl Signals {
    fn new() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        Self {
            begun: none(),
            dropped: none(),
            ready: Arc::new(AtomicBool::new(true)),
        }
    }

    fn begin(&self) -> OnDrop {
        self.begun.add_permits(1);
        OnDrop(Arc::clone(&self.dropped))
    }
}

struct OnDrop(Arc<Semaphore>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// A gateway whose tools are named after their effect.
pub(crate) struct Workers {
    signals: Signals,
}

#[tonic::async_trait]
impl Gateway for Workers {
    async fn execute(&self, call: GatewayCall) -> Result<Payload, Error> {
        match call.tool.as_str() {
            "echo" => Ok(call.args),
            "whoami" => {
                let text = |name: &str, value: Option<String>| {
                    (Value::from(name), value.map_or(Value::Null, Value::from))
                };
                Ok(Payload::encode(&Value::Map(vec![
                    text("session", call.session.map(|it| it.to_string())),
                    text("peer", call.peer.map(|it| it.to_string())),
                    text("worker", call.peer_is_worker.then(|| "yes".to_owned())),
                    text("key", call.metadata.get("key").cloned()),
                    text("timeout", call.timeout.map(|_| "yes".to_owned())),
                ]))?)
            }
            "bytes" => Ok(Payload::encode(&Value::Bytes(vec![0, 1, 255].into()))?),
            "raise" => {
                let mut error = ToolError::new(ErrorCode::ToolRaised, "no luck");
                error.type_name = "ValueError".into();
                error.traceback = "line 1\n".repeat(10_000);
                Err(Error::Tool(Box::new(error)))
            }
            "collapse" => panic!("a gateway that panics"),
            "never" => {
                let _begun = self.signals.begin();
                std::future::pending().await
            }
            name => Err(unknown(name)),
        }
    }

    async fn execute_stream(&self, call: GatewayCall) -> Result<GatewayStream, Error> {
        let numbers = |n: i64| stream::iter(0..n).map(|n| Ok(Payload::encode(&n)?));
        match call.tool.as_str() {
            "count" => {
                let args: Count = call.args.decode()?;
                Ok(numbers(args.n).boxed())
            }
            "break" => {
                let error = ToolError::new(ErrorCode::ToolRaised, "in the middle");
                let error = stream::iter([Err(Error::Tool(Box::new(error)))]);
                Ok(numbers(2).chain(error).boxed())
            }
            "collapse" => {
                let panicking = stream::once(async { panic!("a stream that panics") });
                Ok(numbers(1).chain(panicking).boxed())
            }
            "endless" => {
                let begun = self.signals.begin();
                let endless = numbers(1).chain(stream::pending());
                Ok(endless
                    .inspect(move |_| {
                        let _ = &begun;
                    })
                    .boxed())
            }
            name => Err(unknown(name)),
        }
    }

    fn tools(&self) -> Vec<ToolInfo> {
        let mut echo = ToolInfo::default();
        echo.name = "echo".into();
        echo.description = "Gives back its arguments.".into();
        vec![echo]
    }

    fn is_ready(&self) -> bool {
        self.signals.ready.load(Ordering::Relaxed)
    }

    fn register_tools(
        &self,
        _: &Session,
        worker: &str,
        _: &[PeerTool],
    ) -> Result<(), Box<ToolError>> {
        match worker {
            "unwanted" => Err(ToolError::new(ErrorCode::InvalidRequest, "unwanted worker").into()),
            _ => Ok(()),
        }
    }
}

fn unknown(name: &str) -> Error {
    let message = format!("no tool is named `{name}`");
    Error::Tool(Box::new(ToolError::new(ErrorCode::UnknownTool, message)))
}

/// Returns the state of a host with its tools.
pub(crate) fn state(config: HostStateConfig, signals: &Signals) -> HostState {
    let state = HostState::new(config).unwrap();
    let (slow, endless) = (signals.clone(), signals.clone());
    let tools = vec![
        HostTool::sync("add", |_, pair: Pair| Ok(pair.a + pair.b)).description("Adds."),
        HostTool::dynamic("give_back", |_, args| Ok(args)),
        HostTool::dynamic("give_bytes", |_, _| Ok(Value::Bytes(vec![1, 2].into()))),
        HostTool::dynamic("give_nan", |_, _| Ok(Value::Float(f64::NAN))),
        HostTool::sync("refuse", |_, _: Nothing| -> Result<(), _> {
            Err(ToolFailure::new("not today"))
        }),
        HostTool::sync("panic", |_, _: Nothing| -> Result<(), _> {
            panic!("oh no")
        }),
        HostTool::asynchronous("wait", move |_, _: Nothing| {
            let begun = slow.begin();
            async move {
                let _begun = begun;
                std::future::pending::<Result<(), ToolFailure>>().await
            }
        }),
        HostTool::stream("count_to", |_, count: Count| {
            stream::iter(1..=count.n).map(Ok)
        }),
        HostTool::stream("wait_on", move |_, _: Nothing| -> Numbers {
            let begun = endless.begin();
            let endless = stream::iter([Ok(1)]).chain(stream::pending());
            Box::pin(endless.inspect(move |_| {
                let _ = &begun;
            }))
        }),
    ];
    let tools = tools.into_iter().map(HostTool::exposed).collect();
    state.tools().register_all(tools).unwrap();
    let hidden = HostTool::dynamic("hidden", |_, _| Ok(Value::Null));
    state.tools().register(hidden).unwrap();
    state
}

type Numbers = Pin<Box<dyn Stream<Item = Result<i64, ToolFailure>> + Send>>;

/// Returns a server with a gateway.
pub(crate) fn server(config: HostStateConfig) -> (BridgeServer, HostState, Signals) {
    let signals = Signals::new();
    let state = state(config, &signals);
    let gateway = Workers {
        signals: signals.clone(),
    };
    let server = BridgeServer::with_gateway(state.clone(), Arc::new(gateway));
    (server, state, signals)
}
