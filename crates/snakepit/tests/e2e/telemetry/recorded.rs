//! A recorder that hands everything to the test.

use futures_util::StreamExt as _;
use snakepit::Snakepit;
use snakepit_core::TraceContext;
use snakepit_core::events::{CustomEvent, Event, EventStream};
use snakepit_core::record::{Begun, Log, Measurement, Recorder, Span};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::LONG;

/// What was recorded.
#[derive(Debug)]
pub(crate) enum Got {
    Span(Span),
    Log(Log),
    Measurement(Measurement),
}

/// Takes the span of the caller for that of the call.
#[derive(Debug)]
struct Sink(mpsc::UnboundedSender<Got>);

impl Recorder for Sink {
    fn begin(&self, parent: Option<TraceContext>) -> Option<Begun> {
        let context = parent?;
        Some(Begun {
            context,
            parent: None,
        })
    }

    fn span(&self, span: Span) {
        self.0.send(Got::Span(span)).ok();
    }

    fn log(&self, log: &Log) {
        self.0.send(Got::Log(log.clone())).ok();
    }

    fn measurement(&self, measurement: &Measurement) {
        self.0.send(Got::Measurement(measurement.clone())).ok();
    }
}

/// What comes to the recorder of a host.
pub(crate) struct Recorded(mpsc::UnboundedReceiver<Got>);

pub(crate) fn recorded(snakepit: &Snakepit) -> Recorded {
    let (sender, receiver) = mpsc::unbounded_channel();
    let events = snakepit.default_pool().raw().events().clone();
    events.set_recorder(Some(Box::new(Sink(sender))));
    Recorded(receiver)
}

impl Recorded {
    pub(crate) async fn next(&mut self) -> Got {
        timeout(LONG, self.0.recv()).await.unwrap().unwrap()
    }

    /// The next span of this name.
    pub(crate) async fn span(&mut self, name: &str) -> Span {
        loop {
            if let Got::Span(span) = self.next().await
                && span.name == name
            {
                return span;
            }
        }
    }
}

/// The next event of a worker's code with this name.
pub(crate) async fn custom(events: &mut EventStream, name: &str) -> CustomEvent {
    loop {
        let emitted = timeout(LONG, events.next()).await.unwrap().unwrap();
        if let Event::Custom(event) = &emitted.event
            && &*event.name == name
        {
            return event.clone();
        }
    }
}

/// How many records an event says were dropped.
pub(crate) fn dropped(event: &Event) -> i64 {
    match event {
        Event::TelemetryDropped { records, .. } => records.cast_signed(),
        _ => 0,
    }
}
