//! Records of a worker's code, carried by `TELEMETRY` frames and read within limits.
//!
//! A worker is not trusted. A record that deviates from `proto/README.md` is malformed as a whole.
//! Long texts are truncated, and surplus attributes are omitted.

mod raw;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::decode_varint;
use serde::Deserialize;
use snakepit_core::events::record::{
    Attribute, Instrument, Log, Measurement, Origin, Span, SpanEvent, SpanKind,
};
use snakepit_core::events::{CustomEvent, Event, TraceContext, TraceState};
use snakepit_core::id::{CallId, PoolName, WorkerId};
use snakepit_core::printable::shortened;

use crate::convert::short_name;
use crate::pb;

/// Longest record in bytes.
const MAX_RECORD: usize = 16 << 10;

/// Longest text in bytes; a longer one is truncated, and ends with `…`.
const MAX_TEXT: usize = 8 << 10;

/// Longest name in characters.
const MAX_NAME: usize = 256;

/// Largest number of moments of one span; further ones are omitted.
const MAX_MOMENTS: usize = 64;

/// Largest nesting depth of a record, values of unknown keys included.
const MAX_DEPTH: usize = 16;

/// One record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Record {
    /// An event.
    Event(CustomEvent),
    /// A sampled span.
    Span(Span),
    /// A log record.
    Log(Log),
    /// A measurement.
    Measurement(Measurement),
}

/// Counts of records that did not arrive, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The worker's queue was full.
    pub queue_full: u64,
    /// The record was longer than the limit.
    pub too_large: u64,
    /// The host could not decode the record.
    pub malformed: u64,
}

impl Missing {
    /// Converts the worker's counts of the records that it has dropped.
    const fn reported(dropped: u64, too_large: u64) -> Self {
        let too_large = if too_large < dropped {
            too_large
        } else {
            dropped
        };
        Self {
            queue_full: dropped - too_large,
            too_large,
            malformed: 0,
        }
    }
}

/// The error for bytes that are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record: see `proto/README.md` for what each kind has")]
pub struct Malformed;

/// Reads the records of one worker.
#[derive(Debug)]
pub struct Records<F> {
    pool: PoolName,
    worker: WorkerId,
    /// Returns the number of the call that an attempt of this worker belongs to.
    number_of: F,
}

impl<F: FnMut(CallId) -> Option<CallId>> Records<F> {
    /// Creates a reader for the records of `worker`. A record names a call only if `number_of`
    /// confirms that the worker runs that attempt or ran it recently, and then by
    /// [`Request::number`](snakepit_core::call::Request::number).
    pub const fn new(pool: PoolName, worker: WorkerId, number_of: F) -> Self {
        Self {
            pool,
            worker,
            number_of,
        }
    }

    /// Reads the head of a `TELEMETRY` frame and passes its records to `take`. Returns the counts
    /// of the other records: dropped by the worker, or malformed. An undecodable head counts as one
    /// malformed record.
    pub fn read_frame(&mut self, head: Bytes, mut take: impl FnMut(Record)) -> Missing {
        let Ok(frame) = pb::Telemetry::decode(head) else {
            return Missing {
                malformed: 1,
                ..Missing::default()
            };
        };
        let mut missing = Missing::reported(frame.dropped, frame.too_large);
        for record in &frame.records {
            match self.read(record) {
                Ok(record) => record.into_iter().for_each(&mut take),
                Err(Malformed) => missing.malformed += 1,
            }
        }
        missing
    }

    /// Reads one record. `None` for a span that is not sampled.
    ///
    /// # Errors
    /// The record does not have the form of its kind.
    pub fn read(&mut self, record: &pb::TelemetryRecord) -> Result<Option<Record>, Malformed> {
        let bytes = &record.record[..];
        if bytes.len() > MAX_RECORD {
            return Err(Malformed);
        }
        match record.kind {
            1 => self.event(decode(bytes)?).map(Record::Event).map(Some),
            2 => Ok(self.span(decode(bytes)?)?.map(Record::Span)),
            3 => self.log(decode(bytes)?).map(Record::Log).map(Some),
            4 => {
                let measurement = self.measurement(decode(bytes)?)?;
                Ok(Some(Record::Measurement(measurement)))
            }
            _ => Err(Malformed),
        }
    }

    fn event(&mut self, raw: raw::Event<'_>) -> Result<CustomEvent, Malformed> {
        let mut event = CustomEvent::new(event_name(&raw.name)?);
        event.pool = Some(self.pool.clone());
        event.worker = Some(self.worker.clone());
        event.call = self.call(raw.call);
        event.measurements = raw.measurements.0;
        event.metadata = raw.metadata.0;
        Ok(event)
    }

    fn span(&mut self, raw: raw::Span<'_>) -> Result<Option<Span>, Malformed> {
        let context = raw.trace.0.ok_or(Malformed)?;
        if !context.is_sampled() {
            return Ok(None);
        }
        let start = time(raw.start_ns);
        let mut attributes = raw.attributes.0;
        let own = [
            ("snakepit.pool", Attribute::Text((&self.pool).into())),
            ("snakepit.worker", Attribute::Text((&self.worker).into())),
        ];
        let call = self.call(raw.call).map(|call| {
            let number = i64::try_from(call.0).unwrap_or(i64::MAX);
            ("snakepit.call.id", Attribute::Integer(number))
        });
        let own = own.into_iter().chain(call);
        attributes.extend(own.map(|(name, value)| (Cow::Borrowed(name), value)));
        let events = raw.events.into_iter().take(MAX_MOMENTS).map(|event| {
            Ok(SpanEvent {
                name: Cow::Owned(checked(&event.name)?.to_owned()),
                at: time(event.at_ns),
                attributes: event.attributes.0,
            })
        });
        Ok(Some(Span {
            context,
            parent: raw.parent.0,
            state: TraceState::parse(&raw.state),
            name: Cow::Owned(checked(&raw.name)?.to_owned()),
            kind: match raw.kind {
                0 => SpanKind::Internal,
                1 => SpanKind::Server,
                2 => SpanKind::Client,
                _ => return Err(Malformed),
            },
            start,
            end: time(raw.end_ns).max(start),
            attributes,
            events: events.collect::<Result<_, Malformed>>()?,
            error: raw.error.map(|text| Cow::Owned(clip(&text).into_owned())),
        }))
    }

    fn log(&mut self, raw: raw::Log<'_>) -> Result<Log, Malformed> {
        Ok(Log {
            at: time(raw.at_ns),
            level: match raw.level {
                40.. => tracing::Level::ERROR,
                30.. => tracing::Level::WARN,
                20.. => tracing::Level::INFO,
                10.. => tracing::Level::DEBUG,
                _ => tracing::Level::TRACE,
            },
            // Loggers have arbitrary names. They are made printable once secrets are masked.
            logger: short_name(&raw.logger).into(),
            message: clip(&raw.message).into_owned(),
            exception: raw.exception.map(|text| clip(&text).into_owned()),
            attributes: raw.attributes.0,
            trace: raw.trace.0,
            origin: self.origin(raw.call),
        })
    }

    fn measurement(&mut self, raw: raw::Measurement<'_>) -> Result<Measurement, Malformed> {
        let (name, unit) = (checked(&raw.name)?, clip(&raw.unit));
        let instrument = match raw.instrument {
            0 => Instrument::Counter,
            1 => Instrument::Gauge,
            2 => Instrument::Histogram,
            _ => return Err(Malformed),
        };
        // A sum that has included such a value would be useless.
        let falls = instrument == Instrument::Counter && raw.value.0 < 0.0;
        if !raw.value.0.is_finite() || falls || unit.chars().any(char::is_control) {
            return Err(Malformed);
        }
        Ok(Measurement {
            name: name.into(),
            instrument,
            unit: unit.into(),
            description: clip(&raw.description).into(),
            value: raw.value.0,
            attributes: raw.attributes.0,
            trace: raw.trace.0,
            origin: self.origin(raw.call),
        })
    }

    fn origin(&mut self, call: u64) -> Origin {
        Origin {
            pool: self.pool.clone(),
            worker: self.worker.clone(),
            call: self.call(call),
        }
    }

    fn call(&mut self, call: u64) -> Option<CallId> {
        (call != 0)
            .then(|| (self.number_of)(CallId(call)))
            .flatten()
    }
}

/// Counts the records in the head of a `TELEMETRY` frame without decoding them, and those that the
/// worker reports as dropped. The counts add up to at least one.
pub fn count(head: &Bytes) -> (u64, Missing) {
    let (mut rest, mut records) = (&head[..], 0);
    // Each record is a field: a key of one byte, a length, and its bytes.
    while let Some((&0x0a, after)) = rest.split_first() {
        rest = after;
        let length = decode_varint(&mut rest)
            .ok()
            .and_then(|it| usize::try_from(it).ok());
        let Some((_, after)) = length.and_then(|length| rest.split_at_checked(length)) else {
            break;
        };
        rest = after;
        records += 1;
    }
    // The next fields, if present, are numbers.
    let mut number = |field: u8| {
        let (_, mut number) = rest.split_first().filter(|(key, _)| **key == field)?;
        let value = decode_varint(&mut number).ok();
        rest = number;
        value
    };
    let (dropped, too_large) = (number(0x10).unwrap_or(0), number(0x18).unwrap_or(0));
    (
        if dropped == 0 {
            records.max(1)
        } else {
            records
        },
        Missing::reported(dropped, too_large),
    )
}

/// Returns the name of an event of worker code, without the prefix `snakepit.`: `python.…` or
/// `tool.…`.
pub(crate) fn event_name(name: &str) -> Result<String, Malformed> {
    Ok(
        match checked(name.strip_prefix("snakepit.").unwrap_or(name))? {
            own if own.starts_with("python.") || own.starts_with("tool.") => own.to_owned(),
            other => format!("tool.{other}"),
        },
    )
}

/// Converts an event of worker code: into the catalogued event if the bridge package reports one,
/// else into a custom event.
pub fn catalogued(event: CustomEvent, pool: &PoolName, worker: &WorkerId) -> Event {
    let python_type = event.metadata.get("python_type");
    match (&*event.name, python_type) {
        ("python.serialization.marker", Some(python_type)) => Event::SerializationMarker {
            pool: pool.clone(),
            worker: worker.clone(),
            call: event.call,
            python_type: Arc::clone(python_type),
        },
        _ => Event::Custom(event),
    }
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut deserializer).map_err(|_| Malformed)
}

/// Returns the name if it is valid.
fn checked(name: &str) -> Result<&str, Malformed> {
    if is_name(name) {
        Ok(name)
    } else {
        Err(Malformed)
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/ ".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits)
}

/// Returns the beginning of a text, within the limit.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    shortened(text, MAX_TEXT)
}

fn time(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// Decodes a trace context of 25 bytes.
fn context(bytes: &[u8]) -> Option<TraceContext> {
    TraceContext::from_bytes(bytes)
}
