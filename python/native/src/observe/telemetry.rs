//! Records of Python code on their way to the host: events, spans, log records and measurements.
//!
//! Code that makes a record only puts it into a bounded queue. The control thread sends the
//! records, also while the GIL is held, and the thread that answers a call sends them before the
//! answer. Nothing waits for a host that does not read: records are dropped, and counted.

mod pump;
mod queue;
mod settings;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use snakepit_grpc::pb;

use crate::link::reports::{Offered, Reports};
use crate::process::clock;
use crate::process::fork;
use crate::serve::current;
pub(crate) use pump::Pump;
use queue::Queue;
use settings::Settings;

/// Largest number of frames that a thread sends before it answers its call; the others may go
/// later.
const BEFORE_ANSWER: usize = 4;

/// Time for which records are gathered into one frame.
const TICK: Duration = Duration::from_millis(2);

/// Time for sending the last records when the worker ends.
const LAST: Duration = Duration::from_millis(500);

/// The sink of records; unset if the host takes none.
static SINK: OnceLock<Sink> = OnceLock::new();

/// The queue of records, and the connection to which they are sent.
#[derive(Debug)]
struct Sink {
    queue: Mutex<Queue>,
    /// The queue may hold records.
    filled: AtomicBool,
    /// The control thread checks the queue regularly.
    armed: AtomicBool,
    opened: Instant,
    /// Time at which the last frame was sent, in microseconds since `opened`.
    sent: AtomicU64,
    settings: Settings,
    reports: Arc<Reports>,
}

/// Opens the sink, if the host has given its first settings.
pub(crate) fn open(first: Option<pb::TelemetrySettings>, reports: &Arc<Reports>) {
    if let Some(first) = first {
        SINK.get_or_init(|| Sink {
            queue: Mutex::default(),
            filled: AtomicBool::new(false),
            armed: AtomicBool::new(false),
            opened: clock::now(),
            sent: AtomicU64::new(0),
            settings: Settings::new(&first),
            reports: Arc::clone(reports),
        });
    }
}

/// Applies settings that the host has changed; `head` is the head of their frame.
pub(crate) fn control(head: &[u8]) {
    if let Some(sink) = SINK.get() {
        sink.settings.set(head);
    }
}

/// Applies changed settings to Python code before a call: sets the levels of loggers.
#[inline]
pub(crate) fn follow(py: Python<'_>) {
    if let Some(sink) = SINK.get()
        && sink.settings.take_new()
    {
        let module = py.import("snakepit_bridge._observe.sink");
        if let Err(error) = module.and_then(|module| module.call_method0("settings")) {
            error.write_unraisable(py, None);
        }
    }
}

/// Sends queued records before the answer of a call, without waiting.
#[inline]
pub(crate) fn flush() {
    if let Some(sink) = SINK.get()
        && sink.filled.load(Ordering::Relaxed)
        && !fork::in_child()
    {
        for _ in 0..BEFORE_ANSWER {
            if sink.offer() != Offered::Sent {
                break;
            }
        }
    }
}

/// Sends queued records before the process ends, for a bounded time.
pub(crate) fn finish(py: Python<'_>) {
    let Some(sink) = SINK.get() else { return };
    if fork::in_child() {
        return;
    }
    py.detach(|| {
        let end = clock::now() + LAST;
        loop {
            match sink.offer() {
                Offered::Nothing => return,
                Offered::Sent => {}
                Offered::Full if clock::now() >= end => return,
                Offered::Full => sink.reports.wait_for_room(clock::until(end)),
            }
        }
    });
}

impl Sink {
    /// Sends one frame of records, if there are any and the socket has room for it.
    fn offer(&self) -> Offered {
        let offered = self.reports.offer(|| {
            let mut queue = self.lock();
            let frame = queue.take();
            self.filled.store(!queue.is_empty(), Ordering::Relaxed);
            frame
        });
        if offered == Offered::Sent {
            self.sent.store(self.age(), Ordering::Relaxed);
        }
        offered
    }

    fn age(&self) -> u64 {
        let age = clock::now().saturating_duration_since(self.opened);
        u64::try_from(age.as_micros()).unwrap_or(u64::MAX)
    }

    fn put(&self, kind: u32, record: &[u8]) -> bool {
        if !self.settings.is_enabled() {
            return false;
        }
        let mut queue = self.lock();
        let fits = queue.put(kind, record);
        // The number of dropped records is sent, too.
        self.filled.store(true, Ordering::Relaxed);
        drop(queue);
        // The first record after a pause is sent at once: the process may end with the next
        // instruction.
        let since = self.age().saturating_sub(self.sent.load(Ordering::Relaxed));
        if u128::from(since) >= TICK.as_micros() && self.offer() == Offered::Sent {
            return fits;
        }
        if !self.armed.swap(true, Ordering::AcqRel) {
            self.reports.notify();
        }
        fits
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the time `time` from now.
fn after(time: Duration) -> Instant {
    clock::now() + time
}

/// Queue a record for the host: 1 event, 2 span, 3 log record, 4 measurement, as a MessagePack map.
/// Return False if it was dropped.
#[pyfunction]
pub(crate) fn telemetry_put(kind: u32, record: &Bound<'_, PyBytes>) -> PyResult<bool> {
    if !(1..=4).contains(&kind) {
        return Err(PyValueError::new_err(format!(
            "{kind} is not a kind of record: 1 event, 2 span, 3 log record, 4 measurement"
        )));
    }
    // A forked copy of the worker never speaks for it, and its locks may be in any state.
    if fork::in_child() {
        return Ok(false);
    }
    Ok(SINK
        .get()
        .is_some_and(|sink| sink.put(kind, record.as_bytes())))
}

/// Send queued records as far as the connection has room, without waiting; for records that may be
/// the last ones.
#[pyfunction]
pub(crate) fn telemetry_flush() {
    flush();
}

/// Return the worker's span of the running call in 25 bytes, the number of the call, and its
/// correlation id; `(None, 0, None)` outside of calls.
#[pyfunction]
pub(crate) fn telemetry_trace(
    py: Python<'_>,
) -> PyResult<(Option<Bound<'_, PyBytes>>, u64, Option<String>)> {
    let Some(running) = current::running(py)? else {
        return Ok((None, 0, None));
    };
    let traced = running.traced.as_deref();
    let context = traced.and_then(|traced| traced.context());
    let context = context.map(|context| PyBytes::new(py, context));
    let correlation = traced.and_then(|traced| traced.correlation());
    Ok((context, running.call, correlation.map(str::to_owned)))
}

/// Return the `tracestate` header of the running call's trace; None outside of calls, and if there
/// is none.
#[pyfunction]
pub(crate) fn telemetry_trace_state(py: Python<'_>) -> PyResult<Option<String>> {
    let running = current::running(py)?;
    let traced = running
        .as_ref()
        .and_then(|running| running.traced.as_deref());
    Ok(traced.and_then(|traced| traced.state()).map(str::to_owned))
}

/// Return the settings of the host: their version, and a MessagePack map.
#[pyfunction]
pub(crate) fn telemetry_settings(py: Python<'_>) -> (u64, Bound<'_, PyBytes>) {
    let sink = SINK.get().filter(|_| !fork::in_child());
    let (version, map) = sink.map_or_else(settings::off, |sink| sink.settings.get());
    (version, PyBytes::new(py, &map))
}

/// Return the version of the settings, which grows with each change; 0 if the host takes no
/// records.
#[pyfunction]
pub(crate) fn telemetry_version() -> u64 {
    let sink = SINK.get().filter(|_| !fork::in_child());
    sink.map_or(0, |sink| sink.settings.version())
}
