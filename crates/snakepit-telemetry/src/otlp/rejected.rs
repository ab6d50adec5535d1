//! The records that a collector has rejected in a request that it accepted.
//!
//! The exporters of spans and logs only log them and return success. So a request runs with a
//! subscriber that reads them from that log.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::instrument::{WithDispatch, WithSubscriber as _};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Target of the exporters' log.
const EXPORTERS: &str = "opentelemetry-otlp";

/// End of the name of the log record about rejected records.
const PARTIAL: &str = ".PartialSuccess";

/// The rejected records of a request. The default has none.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    pub(super) records: usize,
    /// The reason that the collector gives; may be empty.
    pub(super) reason: String,
}

impl Rejected {
    /// Creates them from the fields of an answer.
    pub(super) fn new(records: i64, reason: String) -> Self {
        let records = usize::try_from(records).unwrap_or(0);
        Self { records, reason }
    }
}

/// Reads the rejected records of one exporter's requests.
pub(super) struct Answers {
    last: Arc<Mutex<Rejected>>,
    subscriber: Dispatch,
}

impl Answers {
    pub(super) fn new() -> Self {
        let last: Arc<Mutex<Rejected>> = Arc::default();
        let wanted = |metadata: &Metadata<'_>| {
            metadata.target() == EXPORTERS && metadata.name().ends_with(PARTIAL)
        };
        let wanted = filter_fn(wanted).with_max_level_hint(LevelFilter::WARN);
        let reader = Reader(Arc::clone(&last)).with_filter(wanted);
        let subscriber = Dispatch::new(tracing_subscriber::registry().with(reader));
        Self { last, subscriber }
    }

    /// Makes a request readable. Its other log records are lost: its result has the error.
    pub(super) fn of<F>(&self, request: F) -> WithDispatch<F> {
        request.with_subscriber(self.subscriber.clone())
    }

    /// Returns the rejected records of the last request.
    pub(super) fn take(&self) -> Rejected {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *last)
    }
}

struct Reader(Arc<Mutex<Rejected>>);

impl<S: Subscriber> Layer<S> for Reader {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let rejected = Rejected::new(fields.records, fields.reason);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rejected;
    }
}

#[derive(Default)]
struct Fields {
    records: i64,
    reason: String,
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name().starts_with("rejected_") {
            self.records = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "error_message" {
            value.clone_into(&mut self.reason);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}
