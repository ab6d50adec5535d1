//! Shared helpers: records, logged warnings, and a small HTTP client.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Mutex, Once};
use std::time::{Duration, SystemTime};

use snakepit_core::events::record::{
    Attribute, Attributes, Instrument, Log, Measurement, Origin, Span, SpanKind,
};
use snakepit_core::events::{Events, TraceContext, record};
use snakepit_core::id::{CallId, WorkerId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Time limit of every wait in these tests.
pub(crate) const LONG: Duration = Duration::from_secs(60);

static LOGGED: Mutex<Vec<(tracing::Level, String)>> = Mutex::new(Vec::new());

/// Reports the reason a test does nothing here.
pub(crate) fn skipped(reason: &str) {
    // An error while writing to stderr cannot be reported.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {reason}\n"));
}

struct Capture;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() == "snakepit::telemetry" {
            let mut text = Text(String::new());
            event.record(&mut text);
            let logged = (*event.metadata().level(), text.0);
            LOGGED.lock().unwrap().push(logged);
        }
    }
}

/// Collects telemetry's own logs in this process from now on.
pub(crate) fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Capture);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// Returns the messages of this level that contain the address.
pub(crate) fn logged(level: tracing::Level, address: SocketAddr) -> Vec<String> {
    let (logged, address) = (LOGGED.lock().unwrap(), address.to_string());
    let wanted = logged
        .iter()
        .filter(|(of, text)| *of == level && text.contains(&address));
    wanted.map(|(_, text)| text.clone()).collect()
}

pub(crate) fn text(text: impl Into<record::Text>) -> Attribute {
    Attribute::Text(text.into())
}

/// Creates a sampled span that the recorder has begun.
pub(crate) fn span(events: &Events, attributes: Attributes) -> Span {
    let begun = events.recorder().unwrap().begin(None).unwrap();
    let now = SystemTime::now();
    Span {
        context: begun.context,
        state: Default::default(),
        parent: begun.parent,
        name: "snakepit.call".into(),
        kind: SpanKind::Client,
        start: now,
        end: now,
        attributes,
        events: Vec::new(),
        error: None,
    }
}

pub(crate) fn origin() -> Origin {
    Origin {
        pool: "main".into(),
        worker: WorkerId::new("main-1"),
        call: Some(CallId(7)),
    }
}

pub(crate) fn log(message: &str, trace: Option<TraceContext>) -> Log {
    Log {
        at: SystemTime::now(),
        level: tracing::Level::WARN,
        logger: "shop.cart".into(),
        message: message.to_owned(),
        exception: Some("Traceback …\nValueError: no".to_owned()),
        attributes: vec![("api_key".into(), text("hushhush"))],
        trace,
        origin: origin(),
    }
}

pub(crate) fn measurement(name: &str, value: f64, trace: Option<TraceContext>) -> Measurement {
    Measurement {
        name: name.into(),
        instrument: Instrument::Histogram,
        unit: "s".into(),
        description: "Time of a thing".into(),
        value,
        attributes: vec![("kind".into(), text("a"))],
        trace,
        origin: origin(),
    }
}

/// Requests a page and returns the answer with its head.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let accept = "application/openmetrics-text; version=1.0.0";
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n"),
    )
    .await
}

/// Sends an HTTP request verbatim.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Returns the sum of the samples of this name whose line contains all these parts.
pub(crate) fn sum(page: &str, name: &str, parts: &[&str]) -> f64 {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let own = lines.filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && parts.iter().all(|it| line.contains(it))
    });
    let values = own.map(|line| {
        let plain = line.split(" # ").next().unwrap();
        plain.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    });
    values.sum()
}
