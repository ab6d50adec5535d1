//! The hub: it passes each emitted event to all subscribers and to `tracing`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tracing::level_filters::LevelFilter;

use super::kinds::Kinds;
use super::stream::{self, EventStream};
use super::{Event, FieldValue, Kind, Pattern, PatternError, Subscription, TARGET, kind};
use crate::events::record::Recorder;

/// An event with the time when it happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Emitted {
    /// Wall-clock time.
    pub at: SystemTime,
    /// Event.
    pub event: Event,
}

/// Serializes as one flat object: `at` (seconds since 1970), `event` (the name), and the fields.
impl Serialize for Emitted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH);
        map.serialize_entry("at", &since.unwrap_or_default().as_secs_f64())?;
        map.serialize_entry("event", self.event.name())?;
        let mut result = Ok(());
        self.event.visit(&mut |name, value| {
            if result.is_ok() && value != FieldValue::Absent {
                result = map.serialize_entry(name, &value);
            }
        });
        result?;
        map.end()
    }
}

/// A handler that receives the event alone, which costs least.
type Plain = dyn Fn(&Event) + Send + Sync;

/// A handler that also receives the time, and may keep both.
type Timed = dyn Fn(&Arc<Emitted>) + Send + Sync;

/// The handler of a subscriber.
enum Handler {
    Plain(Box<Plain>),
    Timed(Box<Timed>),
}

/// One subscriber.
struct Subscriber {
    id: u64,
    kinds: Kinds,
    /// Filter for the names of custom events.
    pattern: Option<Pattern>,
    handler: Handler,
}

impl Subscriber {
    fn wants(&self, kind: Kind, event: &Event) -> bool {
        self.kinds.has(kind)
            && (kind != kind::Custom
                || self
                    .pattern
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(event.name())))
    }
}

/// The events of one host. Cheap to clone; all clones are one hub.
#[derive(Clone, Default)]
pub struct Events {
    inner: Arc<Hub>,
}

#[derive(Default)]
pub(super) struct Hub {
    subscribers: ArcSwap<Vec<Arc<Subscriber>>>,
    /// The kinds that any subscriber wants, in two halves. An event without subscribers reads
    /// nothing else.
    wanted: [AtomicU64; 2],
    /// Held while subscribers change, so that `subscribers` and `wanted` agree.
    changing: Mutex<()>,
    next: AtomicU64,
    recorder: ArcSwapOption<Box<dyn Recorder>>,
    /// `true` if there is a recorder. A call without one reads nothing else.
    records: AtomicBool,
    /// `true` if it takes spans. A call of a host without traces asks it nothing.
    traces: AtomicBool,
}

impl Events {
    /// Creates a hub without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `handler` for each event whose name matches `pattern`, until the [`Subscription`] is
    /// detached.
    ///
    /// The handler runs on the thread that emits, often in the middle of a call: it has to return
    /// soon and must not block. If a handler panics, it is detached and the panic is logged as an
    /// error.
    ///
    /// # Errors
    /// The pattern cannot match any name.
    pub fn on_event(
        &self,
        pattern: &str,
        handler: impl Fn(&Emitted) + Send + Sync + 'static,
    ) -> Result<Subscription, PatternError> {
        let pattern = Pattern::new(pattern)?;
        let handler = Handler::Timed(Box::new(move |emitted| handler(emitted)));
        Ok(self.attach(Kinds::of(&pattern), Some(pattern), handler))
    }

    /// Calls `handler` for each event of these kinds. Like [`on_event`](Self::on_event), but
    /// cheaper, because the handler does not receive the time.
    pub fn on_kinds(
        &self,
        kinds: &[Kind],
        handler: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Subscription {
        let kinds = kinds.iter().copied().collect();
        self.attach(kinds, None, Handler::Plain(Box::new(handler)))
    }

    /// Subscribes to all events as a stream that buffers at most `capacity` events. Events that do
    /// not fit are counted, see [`EventStream::lost`].
    pub fn subscribe(&self, capacity: usize) -> EventStream {
        let all = Pattern::new("*").expect("it is valid");
        self.subscribe_to(all, capacity)
    }

    /// Subscribes to the events whose names match; otherwise like [`subscribe`](Self::subscribe).
    pub fn subscribe_to(&self, pattern: Pattern, capacity: usize) -> EventStream {
        let (sink, source) = stream::channel(capacity);
        let handler = Handler::Timed(Box::new(move |emitted| sink.put(emitted)));
        let subscription = self.attach(Kinds::of(&pattern), Some(pattern), handler);
        source.into_stream(subscription)
    }

    /// Returns true if an event of this kind has a recipient: a subscriber, or `tracing`.
    #[inline]
    pub fn enabled(&self, kind: Kind) -> bool {
        let (half, bit) = kind.bit();
        kind.level() <= LevelFilter::current()
            || self.inner.wanted[half].load(Ordering::Relaxed) & bit != 0
    }

    /// Sets the recorder of the spans, log records and measurements of this host; `None` removes
    /// it. Running calls keep their spans.
    pub fn set_recorder(&self, recorder: Option<Box<dyn Recorder>>) {
        let (records, traces) = (
            recorder.is_some(),
            recorder.as_ref().is_some_and(|it| it.traces()),
        );
        self.inner.recorder.store(recorder.map(Arc::new));
        self.inner.records.store(records, Ordering::Release);
        self.inner.traces.store(traces, Ordering::Release);
    }

    /// Returns the recorder. `None` if there is none.
    #[inline]
    pub fn recorder(&self) -> Option<Arc<Box<dyn Recorder>>> {
        if !self.inner.records.load(Ordering::Acquire) {
            return None;
        }
        self.inner.recorder.load_full()
    }

    /// Returns the recorder if it takes spans.
    #[inline]
    pub fn span_recorder(&self) -> Option<Arc<Box<dyn Recorder>>> {
        if !self.inner.traces.load(Ordering::Acquire) {
            return None;
        }
        self.inner.recorder.load_full()
    }

    /// Returns true if there is a subscriber.
    pub fn has_subscribers(&self) -> bool {
        !self.inner.subscribers.load().is_empty()
    }

    /// Emits an event of this kind; `make` is called only if the event has a recipient.
    #[inline]
    pub fn emit(&self, kind: Kind, make: impl FnOnce() -> Event) {
        if self.enabled(kind) {
            self.publish(make());
        }
    }

    /// Passes an event to all subscribers and to `tracing`.
    #[inline(never)]
    pub fn publish(&self, event: Event) {
        let kind = event.kind();
        if kind.level() <= LevelFilter::current() {
            event.trace();
        }
        let subscribers = self.inner.subscribers.load();
        let mut timed = false;
        for subscriber in &**subscribers {
            if subscriber.wants(kind, &event) {
                match &subscriber.handler {
                    Handler::Plain(handler) => self.handle(subscriber, &event, || handler(&event)),
                    Handler::Timed(_) => timed = true,
                }
            }
        }
        if !timed {
            return;
        }
        let emitted = Arc::new(Emitted {
            at: SystemTime::now(),
            event,
        });
        for subscriber in &**subscribers {
            if let Handler::Timed(handler) = &subscriber.handler
                && subscriber.wants(kind, &emitted.event)
            {
                self.handle(subscriber, &emitted.event, || handler(&emitted));
            }
        }
    }

    /// Runs a handler, and detaches it if it panics.
    fn handle(&self, subscriber: &Subscriber, event: &Event, run: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            self.inner.detach(subscriber.id);
            let (name, message) = (event.name(), panic_text(&*panic));
            let of = subscriber.pattern.as_ref().map(|it| format!(" of `{it}`"));
            let of = of.unwrap_or_default();
            tracing::error!(
                target: TARGET,
                "the handler{of} panicked at `{name}` and is detached: {message}; fix the handler and attach it again"
            );
        }
    }

    fn attach(&self, kinds: Kinds, pattern: Option<Pattern>, handler: Handler) -> Subscription {
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let subscriber = Arc::new(Subscriber {
            id,
            kinds,
            pattern,
            handler,
        });
        self.inner.change(|all| all.push(subscriber));
        Subscription::new(Arc::downgrade(&self.inner), id)
    }
}

impl Hub {
    /// Removes a subscriber. A handler that runs on another thread at this moment may still finish
    /// its event.
    pub(super) fn detach(&self, id: u64) {
        self.change(|all| all.retain(|subscriber| subscriber.id != id));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Subscriber>>)) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::clone(&self.subscribers.load());
        change(&mut all);
        let wanted = all.iter().fold(Kinds::default(), |set, it| set | it.kinds);
        self.subscribers.store(Arc::new(all));
        for (half, wanted) in self.wanted.iter().zip(wanted.halves()) {
            half.store(wanted, Ordering::Relaxed);
        }
    }

    pub(super) fn is_attached(&self, id: u64) -> bool {
        let subscribers = self.subscribers.load();
        subscribers.iter().any(|subscriber| subscriber.id == id)
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not a string")
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscribers = self.inner.subscribers.load().len();
        f.debug_struct("Events")
            .field("subscribers", &subscribers)
            .finish()
    }
}
