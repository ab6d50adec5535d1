//! Telemetry of worker code: from frames to the host's recorder, subscribers and log.
//!
//! The task that reads a connection only queues frames; a thread of the profile reads them. A flood
//! or a blocking log delays neither calls nor heartbeats: records that do not fit are dropped.

mod dropped;
mod line;
mod masked;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dropped::{Dropped, Reason};
use snakepit_core::events::record::{Instrument, Log};
use snakepit_core::events::{Event, Events, TARGET};
use snakepit_core::id::{CallId, PoolName, WorkerId};
use snakepit_core::printable::Printable;
use snakepit_core::worker::{LogLine, StartContext, Tail};
use snakepit_grpc::link::LinkClient;
use snakepit_grpc::records::{self, Record, Records};
use snakepit_redact::KeyLines;
use tokio::sync::Notify;
use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::masking::Secrets;

/// Maximum number of frames of all workers of a profile that wait to be read.
const QUEUE: usize = 256;

/// Maximum number of bytes of one worker's frames that wait to be read.
const MAX_WAITING: usize = 1 << 20;

/// Maximum number of log records of a worker per second in the log and the last lines. Recorders
/// receive all.
const LINES_PER_SECOND: u32 = 1000;

/// Maximum number of calls that are looked up for one frame; records of further calls name no call.
const LOOK_UPS: u32 = 64;

/// Time for reading the last records of a worker that is gone.
const LAST: Duration = Duration::from_millis(500);

/// The queue to the thread that reads frames. The thread ends when all clones are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry {
    way: SyncSender<Job>,
    last_lines: Tail<LogLine>,
}

#[derive(Debug)]
struct Job {
    reports: Arc<Reports>,
    /// The head of a frame. `None` if the worker is gone.
    head: Option<Bytes>,
    /// The connections of its calls, which know the calls' numbers; kept since the worker may be
    /// gone when the frame is read. `None` before the worker is ready.
    links: Option<Arc<[LinkClient]>>,
}

/// The telemetry of one worker.
#[derive(Debug)]
pub(crate) struct Reports {
    way: Telemetry,
    pool: PoolName,
    worker: WorkerId,
    events: Events,
    /// The worker's connections, set once it is ready.
    links: OnceLock<Weak<[LinkClient]>>,
    enabled: AtomicBool,
    /// Bytes that wait to be read.
    waiting: AtomicUsize,
    read: Notify,
    /// Dropped records that have not been reported yet.
    dropped: Dropped,
    /// True once the worker is gone.
    ended: AtomicBool,
    second: Mutex<Second>,
    /// State of a private key that is logged line by line.
    keys: Mutex<KeyLines>,
    pub(crate) secrets: Secrets,
}

/// The counts of the current second.
#[derive(Debug, Default)]
struct Second {
    /// Seconds since 1970.
    number: u64,
    /// Log records that went to the log.
    lines: u32,
    /// True if dropped records were reported.
    reported: bool,
}

impl Telemetry {
    /// Starts the thread.
    pub(crate) fn start(last_lines: Tail<LogLine>) -> std::io::Result<Self> {
        let (way, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("snakepit-telemetry".to_owned());
        thread.spawn(move || read_all(&receiver))?;
        Ok(Self { way, last_lines })
    }

    /// Creates the telemetry of a worker that is about to start, whose secrets are masked.
    pub(crate) fn of(&self, context: &StartContext, secrets: &Secrets) -> Arc<Reports> {
        Arc::new(Reports {
            way: self.clone(),
            pool: context.pool.clone(),
            worker: context.worker.clone(),
            events: context.events.clone(),
            links: OnceLock::new(),
            enabled: AtomicBool::new(context.telemetry.enabled),
            waiting: AtomicUsize::new(0),
            read: Notify::new(),
            dropped: Dropped::default(),
            ended: AtomicBool::new(false),
            second: Mutex::default(),
            keys: Mutex::default(),
            secrets: secrets.clone(),
        })
    }
}

impl Reports {
    /// Sets the connections of its calls.
    pub(crate) fn calls_are_on(&self, links: &Arc<[LinkClient]>) {
        self.links.get_or_init(|| Arc::downgrade(links));
    }

    /// Enables or disables the records. While disabled, records of the worker are dropped.
    pub(crate) fn enable(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Queues a frame, or counts its records as dropped.
    pub(crate) fn take(self: &Arc<Self>, head: &[u8]) {
        if !self.enabled.load(Ordering::Relaxed) {
            return;
        }
        // A slice of the buffer would keep all of it alive.
        let (head, size) = (Bytes::copy_from_slice(head), head.len());
        let before = self.waiting.fetch_add(size, Ordering::AcqRel);
        let job = Job {
            reports: Arc::clone(self),
            head: Some(head.clone()),
            links: self.links.get().and_then(Weak::upgrade),
        };
        let refused = if before + size > MAX_WAITING {
            Some(Reason::HostQueueFull)
        } else {
            match self.way.way.try_send(job) {
                Ok(()) => None,
                Err(TrySendError::Full(_)) => Some(Reason::HostQueueFull),
                Err(TrySendError::Disconnected(_)) => Some(Reason::ReaderGone),
            }
        };
        if let Some(reason) = refused {
            self.done(size);
            let (all, before) = records::count(&head);
            self.dropped.missing(before);
            self.dropped
                .add(reason, all.saturating_sub(self.add_counters(head)));
            if self.ended.load(Ordering::SeqCst) {
                self.report_dropped();
            }
        }
    }

    /// Passes on the counters in a frame that does not fit, so that their sums stay exact. Returns
    /// their number. Takes time in proportion to the frame, on the worker's own connection only.
    fn add_counters(&self, head: Bytes) -> u64 {
        let Some(recorder) = self.events.recorder() else {
            return 0;
        };
        let mut added = 0;
        let add = AssertUnwindSafe(|| {
            let mut records = Records::new(self.pool.clone(), self.worker.clone(), |_| None);
            records.read_frame(head, |record| {
                if let Record::Measurement(mut measurement) = record
                    && measurement.instrument == Instrument::Counter
                {
                    masked::mask_measurement(&mut measurement, &self.secrets);
                    recorder.measurement(&measurement);
                    added += 1;
                }
            });
        });
        if catch_unwind(add).is_err() {
            self.report_panic();
        }
        added
    }

    /// Counts all records of a frame as dropped after a recorder or a subscriber panicked in it.
    fn lose(&self, frame: &Bytes) {
        let (all, before) = records::count(frame);
        self.dropped.missing(before);
        self.dropped.add(Reason::RecorderFailed, all);
    }

    fn report_panic(&self) {
        tracing::error!(
            target: TARGET,
            pool = %self.pool,
            worker = %self.worker,
            "the recorder panicked at a record of a worker; fix the recorder"
        );
    }

    /// Waits, for a bounded time, until the frames of the worker have been read.
    pub(crate) async fn settle(&self) {
        let all_read = async {
            loop {
                // Created before the check: a frame that is read in between wakes it.
                let read = self.read.notified();
                if self.waiting.load(Ordering::Acquire) == 0 {
                    return;
                }
                read.await;
            }
        };
        let _ = tokio::time::timeout(LAST, all_read).await;
    }

    /// Marks the worker as gone and reports its dropped records.
    pub(crate) fn end(self: &Arc<Self>) {
        self.ended.store(true, Ordering::SeqCst);
        let last = Job {
            reports: Arc::clone(self),
            head: None,
            links: None,
        };
        // If the queue is full, the reader reports them after the worker's last frame, if any.
        let full = self.way.way.try_send(last).is_err();
        if full && self.waiting.load(Ordering::SeqCst) == 0 {
            self.report_dropped();
        }
    }

    fn done(&self, size: usize) {
        if self.waiting.fetch_sub(size, Ordering::SeqCst) == size {
            self.read.notify_waiters();
        }
    }

    fn report_dropped(&self) {
        for (reason, records) in self.dropped.take() {
            self.events.publish(Event::TelemetryDropped {
                pool: self.pool.clone(),
                worker: self.worker.clone(),
                records,
                reason,
            });
        }
    }

    /// Returns the counts of the current second, reset if a new one has begun.
    fn second(&self) -> MutexGuard<'_, Second> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let number = since.unwrap_or_default().as_secs();
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number != number {
            *second = Second {
                number,
                ..Second::default()
            };
        }
        second
    }
}

fn read_all(jobs: &Receiver<Job>) {
    while let Ok(Job {
        reports,
        head,
        links,
    }) = jobs.recv()
    {
        let links = links.as_deref().unwrap_or_default();
        let size = head.as_ref().map_or(0, Bytes::len);
        // A recorder that panics loses one frame, and affects nothing else.
        let frame = head.clone();
        let read = catch_unwind(AssertUnwindSafe(|| {
            head.map(|head| reports.read(head, links))
        }));
        if let (Err(_), Some(frame)) = (&read, frame) {
            reports.lose(&frame);
        }
        let counted = catch_unwind(AssertUnwindSafe(|| {
            if size > 0 {
                reports.done(size);
            }
            if reports.ended.load(Ordering::SeqCst) {
                reports.report_dropped();
            }
        }));
        let read = read.and(counted);
        if read.is_err() {
            reports.report_panic();
        }
    }
}

impl Reports {
    /// Reads one frame and passes its records on.
    fn read(&self, head: Bytes, links: &[LinkClient]) {
        // Usually all records of a frame belong to a few calls.
        let mut known: Vec<(CallId, Option<CallId>)> = Vec::new();
        let mut look_ups = 0;
        let number_of = |attempt: CallId| {
            if let Some((_, number)) = known.iter().rev().find(|(id, _)| *id == attempt) {
                return *number;
            }
            look_ups += 1;
            let known_there = || links.iter().find_map(|link| link.number_of(attempt));
            let number = (look_ups <= LOOK_UPS).then(known_there).flatten();
            known.push((attempt, number));
            number
        };
        let mut records = Records::new(self.pool.clone(), self.worker.clone(), number_of);
        let recorder = self.events.recorder();
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = records.read_frame(head, |mut record| {
            masked::mask(&mut record, &self.secrets, &mut keys);
            match (record, &recorder) {
                (Record::Event(event), _) => {
                    let event = records::catalogued(event, &self.pool, &self.worker);
                    self.events.publish(event);
                }
                (Record::Log(log), recorder) => {
                    self.write(&log);
                    if let Some(recorder) = recorder {
                        recorder.log(&log);
                    }
                }
                (Record::Span(span), Some(recorder)) => recorder.span(span),
                (Record::Measurement(measured), Some(recorder)) => recorder.measurement(&measured),
                _ => {}
            }
        });
        drop(keys);
        self.dropped.missing(missing);
        self.report_dropped_once();
    }

    /// Reports dropped records, at most once per second.
    fn report_dropped_once(&self) {
        if self.dropped.is_some() && !std::mem::replace(&mut self.second().reported, true) {
            self.report_dropped();
        }
    }

    /// Writes a record to the log, unless there are too many in this second.
    fn write(&self, log: &Log) {
        let logged = log.level <= LevelFilter::current();
        if !logged && log.level > Level::INFO {
            return;
        }
        let mut second = self.second();
        second.lines = second.lines.saturating_add(1);
        let lines = second.lines;
        drop(second);
        if lines <= LINES_PER_SECOND {
            self.keep(log);
            if logged {
                line::write(log);
            }
        } else if lines == LINES_PER_SECOND + 1 {
            tracing::warn!(
                target: TARGET,
                pool = %self.pool,
                worker = %self.worker,
                "further log records of this worker are left out of the log for the rest of the second: it writes more than {LINES_PER_SECOND} a second"
            );
        }
    }

    /// Adds a record to the last lines of the host; an exception becomes a line of its own.
    fn keep(&self, log: &Log) {
        let texts = [Some(&log.message), log.exception.as_ref()];
        for text in texts.into_iter().flatten() {
            let text = Printable(text).to_string();
            let bytes = text.len();
            let line = LogLine {
                at: log.at,
                worker: self.worker.clone(),
                source: Arc::clone(&log.logger),
                level: log.level,
                text,
            };
            self.way.last_lines.push(line, bytes);
        }
    }
}
