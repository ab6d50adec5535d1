//! Events that workers on gRPC report over `StreamTelemetry`, converted into catalogued events and
//! read within limits.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use prost::Message as _;
use snakepit_core::events::{CustomEvent, Event, Events, Number};
use snakepit_core::id::{PoolName, WorkerId};
use snakepit_core::value::is_secret_name;
use snakepit_core::worker::TelemetryControl;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::pb;
use crate::pb::bridge_service_client::BridgeServiceClient;
use crate::pb::telemetry_control::Control;
use crate::pb::telemetry_value::Value;
use crate::records::{self, Malformed};

/// Longest event in bytes; a longer one is dropped.
const MAX_EVENT: usize = 16 << 10;

/// Longest message that is accepted; a longer one ends the stream.
const MAX_MESSAGE: usize = 256 << 10;

/// Largest number of parts of a name.
const MAX_PARTS: usize = 16;

/// Largest number of measurements, and of texts, of one event; further ones are omitted.
const MAX_ENTRIES: usize = 64;

/// Largest number of events of one worker per second; further ones are dropped.
const EVENTS_PER_SECOND: u32 = 10_000;

/// The events of one worker.
#[derive(Debug)]
pub struct WorkerEvents {
    pool: PoolName,
    worker: WorkerId,
    events: Events,
    window: Option<Instant>,
    taken: u32,
    dropped: BTreeMap<&'static str, u64>,
}

/// The reason a stream of events ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventsEnd {
    /// The worker does not implement the rpc, so it reports no events.
    Unsupported,
    /// The worker has ended the stream, as it does when it stops.
    Closed,
    /// The stream failed. A new stream continues at the same event.
    Failed(String),
}

impl WorkerEvents {
    /// Publishes the events of `worker` with this pool and worker as their origin.
    pub fn new(pool: PoolName, worker: WorkerId, events: Events) -> Self {
        Self {
            pool,
            worker,
            events,
            window: None,
            taken: 0,
            dropped: BTreeMap::new(),
        }
    }

    /// Opens `StreamTelemetry` and publishes its events until it ends. The stream has no deadline,
    /// because a worker of the original library would end it there for good. `settings` are sent to
    /// the worker now and after each change. While they are disabled, events that still arrive are
    /// ignored.
    ///
    /// # Cancel safety
    /// Dropping the future ends the stream. Events that wait in the worker stay there.
    pub async fn read(
        &mut self,
        client: &BridgeServiceClient<Channel>,
        settings: watch::Receiver<TelemetryControl>,
    ) -> EventsEnd {
        let mut client = client.clone().max_decoding_message_size(MAX_MESSAGE);
        // Otherwise the stream would stay half open, and a server that shuts down waits for it.
        let over = CancellationToken::new();
        let _over = over.clone().drop_guard();
        let controls = controls(settings.clone()).take_until(over.cancelled_owned());
        let opened = client.stream_telemetry(controls).await;
        let end = match opened {
            Ok(answer) => self.read_all(answer.into_inner(), &settings).await,
            Err(status) => ended(&status),
        };
        self.report_dropped();
        end
    }

    async fn read_all(
        &mut self,
        mut messages: tonic::Streaming<pb::TelemetryEvent>,
        settings: &watch::Receiver<TelemetryControl>,
    ) -> EventsEnd {
        loop {
            let next = match self.window.filter(|_| !self.dropped.is_empty()) {
                Some(end) => match timeout_at(end, messages.message()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.report_dropped();
                        continue;
                    }
                },
                None => messages.message().await,
            };
            match next {
                Ok(Some(message)) if settings.borrow().enabled => self.take(message),
                Ok(Some(_)) => {}
                Ok(None) => return EventsEnd::Closed,
                Err(status) => return ended(&status),
            }
        }
    }

    /// Publishes an event, or counts it as dropped.
    fn take(&mut self, message: pb::TelemetryEvent) {
        let now = Instant::now();
        if self.window.is_none_or(|end| now >= end) {
            self.report_dropped();
            (self.window, self.taken) = (Some(now + Duration::from_secs(1)), 0);
        }
        self.taken = self.taken.saturating_add(1);
        let read = if self.taken > EVENTS_PER_SECOND {
            Err("host_queue_full")
        } else if message.encoded_len() > MAX_EVENT {
            Err("too_large")
        } else {
            self.event(message).map_err(|Malformed| "malformed")
        };
        match read {
            Ok(event) => self.events.publish(event),
            Err(reason) => *self.dropped.entry(reason).or_default() += 1,
        }
    }

    fn report_dropped(&mut self) {
        for (reason, records) in std::mem::take(&mut self.dropped) {
            self.events.publish(Event::TelemetryDropped {
                pool: self.pool.clone(),
                worker: self.worker.clone(),
                records,
                reason,
            });
        }
    }

    /// Converts a message into the catalogued event if there is one, else into a custom event with
    /// the worker's name for it.
    fn event(&self, message: pb::TelemetryEvent) -> Result<Event, Malformed> {
        if message.event_parts.len() > MAX_PARTS {
            return Err(Malformed);
        }
        let mut event = CustomEvent::new(records::event_name(&message.event_parts.join("."))?);
        event.pool = Some(self.pool.clone());
        event.worker = Some(self.worker.clone());
        let mut texts: BTreeMap<String, String> = message.metadata.into_iter().collect();
        if !message.correlation_id.is_empty() {
            let id = || message.correlation_id;
            texts.entry("correlation_id".to_owned()).or_insert_with(id);
        }
        let measured: BTreeMap<_, _> = message.measurements.into_iter().collect();
        for (name, value) in measured {
            let number = match value.value {
                Some(Value::IntValue(value)) => Number::Integer(value),
                Some(Value::FloatValue(value)) => Number::Float(value),
                Some(Value::StringValue(text)) => {
                    texts.entry(name).or_insert(text);
                    continue;
                }
                None => continue,
            };
            if records::is_name(&name) && event.measurements.len() < MAX_ENTRIES {
                event.measurements.insert(name.into(), number);
            }
        }
        for (name, text) in texts {
            if !records::is_name(&name) || event.metadata.len() >= MAX_ENTRIES {
                continue;
            }
            let text: Arc<str> = if is_secret_name(&name) {
                "<redacted>".into()
            } else {
                records::clip(&text).into()
            };
            event.metadata.insert(name.into(), text);
        }
        Ok(records::catalogued(event, &self.pool, &self.worker))
    }
}

fn ended(status: &Status) -> EventsEnd {
    match status.code() {
        Code::Unimplemented => EventsEnd::Unsupported,
        _ => EventsEnd::Failed(format!(
            "{:?}: {}",
            status.code(),
            records::clip(status.message())
        )),
    }
}

/// Returns the stream of settings for the worker: all of them now, and again after each change. It
/// does not end by itself, because some workers take its end as the end of the whole stream.
fn controls(
    settings: watch::Receiver<TelemetryControl>,
) -> impl Stream<Item = pb::TelemetryControl> + Send + 'static {
    let first = (settings, VecDeque::new(), true);
    unfold(first, async |(mut settings, mut waiting, is_first)| {
        if waiting.is_empty() {
            if !is_first && settings.changed().await.is_err() {
                pending::<()>().await;
            }
            waiting.extend(messages(&settings.borrow_and_update()));
        }
        let next = waiting.pop_front()?;
        Some((next, (settings, waiting, false)))
    })
}

fn messages(settings: &TelemetryControl) -> [pb::TelemetryControl; 3] {
    let all = [
        Control::Filter(pb::TelemetryEventFilter {
            allow: settings.allow.clone(),
            deny: settings.deny.clone(),
        }),
        Control::Sampling(pb::TelemetrySamplingUpdate {
            sampling_rate: settings.sampling,
            event_patterns: Vec::new(),
        }),
        Control::Toggle(pb::TelemetryToggle {
            enabled: settings.enabled,
        }),
    ];
    all.map(|control| pb::TelemetryControl {
        control: Some(control),
    })
}
