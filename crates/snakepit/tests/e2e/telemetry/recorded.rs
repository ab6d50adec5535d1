//! A recorder that passes everything to the test.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use snakepit::Snakepit;
use snakepit_core::events::record::{Begun, Log, Measurement, Recorder, Span};
use snakepit_core::events::{CustomEvent, Event, EventStream, TraceContext};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::LONG;

/// A recorded item.
#[derive(Debug)]
pub(crate) enum Got {
    Span(Span),
    Log(Log),
    Measurement(Measurement),
}

/// Records calls that have a caller's span.
#[derive(Debug)]
struct Sink {
    got: mpsc::UnboundedSender<Got>,
    /// True if each call has its own span; otherwise it uses the caller's.
    children: bool,
    /// Blocks at a log record until the other end is dropped.
    holds: Option<Mutex<Receiver<()>>>,
}

impl Recorder for Sink {
    fn begin(&self, parent: Option<TraceContext>) -> Option<Begun> {
        let parent = parent?;
        Some(if self.children {
            Begun {
                context: parent.child(),
                parent: Some(parent.span_id()),
                state: Default::default(),
            }
        } else {
            Begun {
                context: parent,
                parent: None,
                state: Default::default(),
            }
        })
    }

    fn span(&self, span: Span) {
        self.got.send(Got::Span(span)).ok();
    }

    fn log(&self, log: &Log) {
        self.got.send(Got::Log(log.clone())).ok();
        if let Some(holds) = &self.holds {
            holds.lock().unwrap().recv().ok();
        }
    }

    fn measurement(&self, measurement: &Measurement) {
        self.got.send(Got::Measurement(measurement.clone())).ok();
    }
}

/// The items that the recorder of a host receives.
pub(crate) struct Recorded(mpsc::UnboundedReceiver<Got>);

pub(crate) fn recorded(snakepit: &Snakepit) -> Recorded {
    attach(snakepit, false, None)
}

/// Like [`recorded`], but the thread that passes the records on blocks at a log record until the
/// other value is dropped.
pub(crate) fn recorded_holding(snakepit: &Snakepit) -> (Recorded, Sender<()>) {
    let (held, holds) = channel();
    (attach(snakepit, false, Some(Mutex::new(holds))), held)
}

/// Like [`recorded`], but each call has its own span.
pub(crate) fn recorded_children(snakepit: &Snakepit) -> Recorded {
    attach(snakepit, true, None)
}

fn attach(snakepit: &Snakepit, children: bool, holds: Option<Mutex<Receiver<()>>>) -> Recorded {
    let (got, receiver) = mpsc::unbounded_channel();
    let events = snakepit.default_pool().raw().events().clone();
    let sink = Sink {
        got,
        children,
        holds,
    };
    events.set_recorder(Some(Box::new(sink)));
    Recorded(receiver)
}

impl Recorded {
    pub(crate) async fn next(&mut self) -> Got {
        timeout(LONG, self.0.recv()).await.unwrap().unwrap()
    }

    /// Waits for the next span.
    pub(crate) async fn any_span(&mut self) -> Span {
        loop {
            if let Got::Span(span) = self.next().await {
                return span;
            }
        }
    }

    /// Returns the next item if it has arrived.
    pub(crate) fn try_next(&mut self) -> Option<Got> {
        self.0.try_recv().ok()
    }

    /// Waits for the next span of this name.
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

/// Waits for the next event of this name from worker code.
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

/// Returns the number of dropped records that an event reports; 0 for other events.
pub(crate) fn dropped(event: &Event) -> i64 {
    match event {
        Event::TelemetryDropped { records, .. } => records.cast_signed(),
        _ => 0,
    }
}
