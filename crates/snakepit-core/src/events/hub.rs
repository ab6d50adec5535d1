//! The hub: who emits gives an event to it, and it hands the event to all subscribers and to `tracing`.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tracing::Level;

use super::stream::{self, EventStream};
use super::{Event, FieldValue, Pattern, PatternError, Subscription, TARGET};
use crate::record::Recorder;

/// An event with the time when it happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Emitted {
    /// Wall-clock time.
    pub at: SystemTime,
    /// Event.
    pub event: Event,
}

/// Shows as one flat object: `at` (seconds since 1970), `event` (the name), and the fields.
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

type Handler = dyn Fn(&Arc<Emitted>) + Send + Sync;

/// One subscriber.
struct Subscriber {
    id: u64,
    pattern: Pattern,
    handler: Box<Handler>,
}

/// The events of one host. Cheap to clone; all clones are one hub.
#[derive(Clone, Default)]
pub struct Events {
    inner: Arc<Hub>,
}

#[derive(Default)]
pub(super) struct Hub {
    subscribers: ArcSwap<Vec<Arc<Subscriber>>>,
    /// Their number: all that an event without subscribers looks at.
    attached: AtomicUsize,
    next: AtomicU64,
    recorder: ArcSwapOption<Box<dyn Recorder>>,
    /// `true` if there is a recorder. A call without one reads nothing else.
    records: AtomicBool,
}

impl Events {
    /// Creates a hub without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `handler` for each event whose name matches `pattern`, until the [`Subscription`] is detached.
    ///
    /// The handler runs on the thread that emits, often in the middle of a call: it has to return soon and must not block. A handler
    /// that panics is detached, and the panic is reported as an error in the log.
    ///
    /// # Errors
    /// A pattern that cannot match any name.
    pub fn on_event(
        &self,
        pattern: &str,
        handler: impl Fn(&Emitted) + Send + Sync + 'static,
    ) -> Result<Subscription, PatternError> {
        let pattern = Pattern::new(pattern)?;
        Ok(self.attach(pattern, Box::new(move |emitted| handler(emitted))))
    }

    /// Subscribes to all events as a stream that holds at most `capacity` events that have not been taken; what does not fit is
    /// counted, see [`EventStream::lost`].
    pub fn subscribe(&self, capacity: usize) -> EventStream {
        let all = Pattern::new("*").expect("it is valid");
        self.subscribe_to(all, capacity)
    }

    /// Subscribes to the events whose names match; as [`subscribe`](Self::subscribe).
    pub fn subscribe_to(&self, pattern: Pattern, capacity: usize) -> EventStream {
        let (sink, source) = stream::channel(capacity);
        let subscription = self.attach(pattern, Box::new(move |emitted| sink.put(emitted)));
        source.into_stream(subscription)
    }

    /// Returns whether an event of this level would reach anybody: a subscriber, or `tracing`.
    #[inline]
    pub fn enabled(&self, level: Level) -> bool {
        level <= tracing::level_filters::LevelFilter::current() || self.has_subscribers()
    }

    /// Sets who records the spans, log records and measurements of this host, or ends it with `None`. Calls that run keep their spans.
    pub fn set_recorder(&self, recorder: Option<Box<dyn Recorder>>) {
        let records = recorder.is_some();
        self.inner.recorder.store(recorder.map(Arc::new));
        self.inner.records.store(records, Ordering::Release);
    }

    /// Returns the recorder. `None` if nobody records.
    #[inline]
    pub fn recorder(&self) -> Option<Arc<Box<dyn Recorder>>> {
        if !self.inner.records.load(Ordering::Acquire) {
            return None;
        }
        self.inner.recorder.load_full()
    }

    /// Returns whether there is a subscriber.
    #[inline]
    pub fn has_subscribers(&self) -> bool {
        self.inner.attached.load(Ordering::Relaxed) > 0
    }

    /// Emits an event; `make` is called only if somebody takes it.
    #[inline]
    pub fn emit(&self, level: Level, make: impl FnOnce() -> Event) {
        if self.enabled(level) {
            self.publish(make());
        }
    }

    /// Hands an event to all subscribers and to `tracing`.
    #[cold]
    pub fn publish(&self, event: Event) {
        event.trace();
        let subscribers = self.inner.subscribers.load();
        let matches = |subscriber: &Arc<Subscriber>| subscriber.pattern.matches(event.name());
        let Some(first) = subscribers.iter().position(matches) else {
            return;
        };
        let emitted = &Arc::new(Emitted {
            at: SystemTime::now(),
            event,
        });
        for subscriber in &subscribers[first..] {
            if !subscriber.pattern.matches(emitted.event.name()) {
                continue;
            }
            let handled = catch_unwind(AssertUnwindSafe(|| (subscriber.handler)(emitted)));
            if let Err(panic) = handled {
                self.inner.detach(subscriber.id);
                let message = panic_text(&*panic);
                let (name, pattern) = (emitted.event.name(), &subscriber.pattern);
                tracing::error!(
                    target: TARGET,
                    "the handler of `{pattern}` panicked at `{name}` and is detached: {message}; fix the handler and attach it again"
                );
            }
        }
    }

    fn attach(&self, pattern: Pattern, handler: Box<Handler>) -> Subscription {
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let subscriber = Arc::new(Subscriber {
            id,
            pattern,
            handler,
        });
        self.inner.attached.fetch_add(1, Ordering::Relaxed);
        self.inner.subscribers.rcu(|old| {
            let mut new = Vec::clone(old);
            new.push(Arc::clone(&subscriber));
            new
        });
        Subscription::new(Arc::downgrade(&self.inner), id)
    }
}

impl Hub {
    /// Removes a subscriber. A handler that runs on another thread at this moment may still end its event.
    pub(super) fn detach(&self, id: u64) {
        let before = self.subscribers.rcu(|old| {
            let mut new = Vec::clone(old);
            new.retain(|subscriber| subscriber.id != id);
            new
        });
        if before.iter().any(|subscriber| subscriber.id == id) {
            self.attached.fetch_sub(1, Ordering::Relaxed);
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
        .unwrap_or("a value that is no text")
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subscribers = self.inner.subscribers.load().len();
        f.debug_struct("Events")
            .field("subscribers", &subscribers)
            .finish()
    }
}
