//! Events of a worker that serves `StreamTelemetry`, a tonic server here.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use snakepit_core::events::{CustomEvent, Event, EventStream, Events, Number};
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::id::{PoolName, WorkerId};
use snakepit_core::worker::TelemetryControl;
use snakepit_grpc::pb;
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use snakepit_grpc::pb::telemetry_control::Control;
use snakepit_grpc::pb::telemetry_value::Value;
use snakepit_grpc::service::{EventsEnd, WorkerEvents};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// The worker's behaviour when the stream is opened.
#[derive(Clone, Debug)]
enum Plan {
    /// Does not implement the rpc.
    Unimplemented,
    /// Sends these events and ends the stream.
    Tell(Vec<pb::TelemetryEvent>),
    /// Sends these events and fails.
    Fail(Vec<pb::TelemetryEvent>),
    /// Sends an event for each of its settings and keeps the stream open.
    Follow,
}

#[derive(Clone, Debug)]
struct Worker {
    plan: Plan,
    deadlines: Arc<Mutex<Vec<bool>>>,
    controls: mpsc::UnboundedSender<Control>,
}

type Answer = BoxStream<'static, Result<pb::TelemetryEvent, Status>>;

impl StreamingService<pb::TelemetryControl> for Worker {
    type Response = pb::TelemetryEvent;
    type ResponseStream = Answer;
    type Future = BoxFuture<'static, Result<Response<Answer>, Status>>;

    fn call(&mut self, request: Request<Streaming<pb::TelemetryControl>>) -> Self::Future {
        let has_deadline = request.metadata().contains_key("grpc-timeout");
        self.deadlines.lock().unwrap().push(has_deadline);
        let (plan, controls) = (self.plan.clone(), self.controls.clone());
        Box::pin(async move {
            let settings = request.into_inner();
            let told = |events: Vec<_>| futures_util::stream::iter(events.into_iter().map(Ok));
            let answer: Answer = match plan {
                Plan::Unimplemented => return Err(Status::unimplemented("no telemetry")),
                Plan::Tell(events) => told(events).boxed(),
                Plan::Fail(events) => {
                    let broken = Err(Status::unavailable("gone"));
                    let last = futures_util::stream::iter([broken]);
                    told(events).chain(last).boxed()
                }
                Plan::Follow => settings
                    .map(move |control| {
                        controls.send(control?.control.unwrap()).unwrap();
                        Ok(event("python.followed"))
                    })
                    .boxed(),
            };
            Ok(Response::new(answer))
        })
    }
}

impl tower_service::Service<http::Request<Body>> for Worker {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let worker = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::default();
            Ok(Grpc::new(codec).streaming(worker, request).await)
        })
    }
}

impl NamedService for Worker {
    const NAME: &'static str = "snakepit.bridge.BridgeService";
}

/// A running worker and its reader.
struct Read {
    client: BridgeServiceClient<Channel>,
    reader: WorkerEvents,
    stream: EventStream,
    controls: mpsc::UnboundedReceiver<Control>,
    deadlines: Arc<Mutex<Vec<bool>>>,
    _state: HostState,
    _serving: JoinSet<()>,
}

async fn start(plan: Plan) -> Read {
    let (sender, controls) = mpsc::unbounded_channel();
    let worker = Worker {
        plan,
        deadlines: Arc::default(),
        controls: sender,
    };
    let deadlines = Arc::clone(&worker.deadlines);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = futures_util::stream::unfold(listener, async |listener| {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let server = tonic::transport::Server::builder().add_service(worker);
        server.serve_with_incoming(incoming).await.unwrap();
    });
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let events: &Events = state.events();
    let (pool, worker) = (PoolName::new("main"), WorkerId::new("main-1"));
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap();
    Read {
        client: BridgeServiceClient::new(channel.connect().await.unwrap()),
        reader: WorkerEvents::new(pool, worker, events.clone()),
        stream: events.subscribe(65_536),
        controls,
        deadlines,
        _state: state,
        _serving: serving,
    }
}

impl Read {
    async fn all(&mut self, settings: TelemetryControl) -> EventsEnd {
        let (_sender, settings) = watch::channel(settings);
        self.reader.read(&self.client, settings).await
    }

    fn custom(&mut self) -> Option<CustomEvent> {
        while let Some(emitted) = self.stream.try_next() {
            if let Event::Custom(event) = &emitted.event {
                return Some(event.clone());
            }
        }
        None
    }

    fn dropped(&mut self) -> Vec<(&'static str, u64)> {
        let mut dropped = Vec::new();
        while let Some(emitted) = self.stream.try_next() {
            if let Event::TelemetryDropped {
                reason, records, ..
            } = &emitted.event
            {
                dropped.push((*reason, *records));
            }
        }
        dropped
    }
}

fn event(name: &str) -> pb::TelemetryEvent {
    pb::TelemetryEvent {
        event_parts: name.split('.').map(str::to_owned).collect(),
        ..Default::default()
    }
}

fn value(value: Value) -> pb::TelemetryValue {
    pb::TelemetryValue { value: Some(value) }
}

fn on() -> TelemetryControl {
    TelemetryControl::new()
}

#[tokio::test]
async fn events_of_a_worker_are_told_under_the_names_of_the_catalogue() {
    let mut stop = event("tool.execution.stop");
    stop.measurements = [
        ("duration".to_owned(), value(Value::IntValue(7))),
        ("cpu_percent".to_owned(), value(Value::FloatValue(0.5))),
        ("state".to_owned(), value(Value::StringValue("warm".into()))),
        ("none".to_owned(), pb::TelemetryValue { value: None }),
    ]
    .into();
    let texts = [
        ("tool", "mean"),
        ("api_key", "hush-hush-1"),
        ("bad\u{1b}name", "x"),
    ];
    stop.metadata = texts
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into();
    stop.correlation_id = "order 7".to_owned();
    let mut marker = event("python.serialization.marker");
    marker.metadata = [("python_type".to_owned(), "pandas.DataFrame".to_owned())].into();
    let told = vec![
        stop,
        event("own.thing"),
        event("snakepit.python.gc.completed"),
        marker,
    ];
    let mut read = start(Plan::Tell(told)).await;
    assert_eq!(read.all(on()).await, EventsEnd::Closed);

    let first = read.custom().unwrap();
    assert_eq!(&*first.name, "tool.execution.stop");
    assert_eq!(first.worker, Some(WorkerId::new("main-1")));
    assert_eq!(first.pool, Some(PoolName::new("main")));
    let measured: Vec<_> = first
        .measurements
        .iter()
        .map(|(name, it)| (&**name, *it))
        .collect();
    assert_eq!(
        measured,
        [
            ("cpu_percent", Number::Float(0.5)),
            ("duration", Number::Integer(7))
        ]
    );
    let texts: Vec<_> = first
        .metadata
        .iter()
        .map(|(name, it)| (&**name, &**it))
        .collect();
    let expected = [
        ("api_key", "<redacted>"),
        ("correlation_id", "order 7"),
        ("state", "warm"),
        ("tool", "mean"),
    ];
    assert_eq!(texts, expected);
    assert_eq!(&*read.custom().unwrap().name, "tool.own.thing");
    assert_eq!(&*read.custom().unwrap().name, "python.gc.completed");
    let last = read.stream.try_next().unwrap();
    assert!(matches!(
        &last.event,
        Event::SerializationMarker { python_type, .. } if &**python_type == "pandas.DataFrame"
    ));
    assert_eq!(*read.deadlines.lock().unwrap(), [false]);
}

#[tokio::test]
async fn what_is_no_event_is_dropped_and_counted_and_the_rest_comes() {
    let mut large = event("python.large");
    large.metadata = [("text".to_owned(), "x".repeat(20_000))].into();
    let mut many = event("python.many");
    many.measurements = (0..500)
        .map(|n| (format!("m{n}"), value(Value::IntValue(n))))
        .collect();
    let deep = event(&["a"; 17].join("."));
    let told = vec![
        event(""),
        event("a\u{1b}b"),
        event(&"x".repeat(300)),
        deep,
        large,
        many,
    ];
    let mut read = start(Plan::Fail(told)).await;
    let end = read.all(on()).await;
    assert!(
        matches!(&end, EventsEnd::Failed(why) if why.contains("gone")),
        "{end:?}"
    );
    assert_eq!(read.custom().unwrap().measurements.len(), 64);
    assert_eq!(read.dropped(), [("malformed", 4), ("too_large", 1)]);
    // A message beyond the limit ends its stream, and nothing else.
    let mut huge = event("python.huge");
    huge.metadata = [("text".to_owned(), "x".repeat(1 << 20))].into();
    let mut read = start(Plan::Tell(vec![huge])).await;
    assert!(matches!(read.all(on()).await, EventsEnd::Failed(_)));
}

/// The clock is paused until events are dropped: only then does the reader wait.
#[tokio::test(start_paused = true)]
async fn a_flood_is_cut_and_counted() {
    let count = 30_000;
    let mut read = start(Plan::Tell(vec![event("python.flood"); count])).await;
    assert_eq!(read.all(on()).await, EventsEnd::Closed);
    let (mut came, mut lost) = (0, 0);
    while let Some(emitted) = read.stream.try_next() {
        match &emitted.event {
            Event::Custom(_) => came += 1,
            Event::TelemetryDropped {
                reason, records, ..
            } => {
                assert_eq!(*reason, "host_queue_full");
                lost += records;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(came >= 10_000 && lost > 0);
    assert_eq!(came + lost, count as u64);
}

#[tokio::test]
async fn settings_reach_the_worker_at_once_and_when_they_change() {
    let mut read = start(Plan::Follow).await;
    let mut settings = on();
    (settings.sampling, settings.deny) = (0.5, vec!["tool.*".to_owned()]);
    let (sender, receiver) = watch::channel(settings);
    let reading = read.reader.read(&read.client, receiver);
    let changes = async {
        let mut seen = Vec::new();
        while seen.len() < 3 {
            seen.push(read.controls.recv().await.unwrap());
        }
        assert!(matches!(&seen[0], Control::Filter(it) if it.deny == ["tool.*"]));
        assert!(matches!(&seen[1], Control::Sampling(it) if it.sampling_rate == 0.5));
        assert!(matches!(&seen[2], Control::Toggle(it) if it.enabled));
        sender.send_replace(TelemetryControl::off());
        seen.clear();
        while seen.len() < 3 {
            seen.push(read.controls.recv().await.unwrap());
        }
        assert!(matches!(&seen[2], Control::Toggle(it) if !it.enabled));
    };
    tokio::select! {
        end = reading => panic!("{end:?}"),
        () = changes => {}
    }
}

#[tokio::test]
async fn a_worker_without_telemetry_is_no_failure() {
    let mut read = start(Plan::Unimplemented).await;
    assert_eq!(read.all(on()).await, EventsEnd::Unsupported);
    let mut read = start(Plan::Tell(vec![event("python.late")])).await;
    assert_eq!(read.all(TelemetryControl::off()).await, EventsEnd::Closed);
    assert!(read.stream.try_next().is_none());
}
