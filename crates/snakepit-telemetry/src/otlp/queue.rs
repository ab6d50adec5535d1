//! The queue of one signal, and the task that exports its records.
//!
//! A call only queues its records. The task does everything else (conversion, redaction, encoding,
//! sending) on the exporters' thread. It wakes when a batch is full, after a delay, or for a flush,
//! but never for a single record.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam::queue::SegQueue;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::delivery::Delivery;
use super::rejected::Answers;
use crate::OtlpConfig;

/// Time limit of a flush whose caller sets none.
const FLUSH: Duration = Duration::from_secs(5);

/// The exporter of one signal's records.
pub(super) trait Export: Send + Sync + 'static {
    /// The form of a waiting record.
    type Record: Send + 'static;

    /// Converts, encodes and sends a batch.
    fn export(&self, records: Vec<Self::Record>) -> impl Future<Output = OTelSdkResult> + Send;
}

/// The records of one signal that wait for export, bounded in number and in bytes.
pub(super) struct Queue<T> {
    /// The records, each with its size.
    records: SegQueue<(usize, T)>,
    delivery: Arc<Delivery>,
    answers: Answers,
    batch: usize,
    /// Notified when a batch is full or a flush waits.
    due: Notify,
    over: AtomicBool,
    flushes: Mutex<Vec<SyncSender<()>>>,
}

impl<T: Send + 'static> Queue<T> {
    /// Creates a queue whose records a task on `handle` exports.
    pub(super) fn start<E: Export<Record = T>>(
        exporter: E,
        delivery: Arc<Delivery>,
        config: &OtlpConfig,
        handle: &Handle,
    ) -> Arc<Self> {
        let queue = Arc::new(Self {
            records: SegQueue::new(),
            delivery,
            answers: Answers::new(),
            batch: config.batch,
            due: Notify::new(),
            over: AtomicBool::new(false),
            flushes: Mutex::default(),
        });
        let (of, delay) = (Arc::clone(&queue), config.delay);
        handle.spawn(async move { of.run(&exporter, delay).await });
        queue
    }

    /// Queues a record of approximately `bytes` bytes. If there is no room, counts it as dropped
    /// without creating it.
    pub(super) fn put(&self, bytes: usize, make: impl FnOnce() -> T) {
        if self.over.load(Ordering::Relaxed) {
            self.delivery.too_late();
        } else if let Some(waiting) = self.delivery.admit(bytes) {
            self.records.push((bytes, make()));
            if waiting.is_multiple_of(self.batch) {
                self.due.notify_one();
            }
        }
    }

    /// Exports the queued records, within a time limit.
    pub(super) fn flush(&self) -> OTelSdkResult {
        if self.over.load(Ordering::Acquire) {
            return Err(OTelSdkError::AlreadyShutdown);
        }
        self.wait(FLUSH)
    }

    /// Rejects further records, exports the queued ones and ends the task. A second call does
    /// nothing.
    pub(super) fn shutdown(&self, limit: Duration) -> OTelSdkResult {
        if self.over.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.wait(limit)
    }

    fn wait(&self, limit: Duration) -> OTelSdkResult {
        let (sender, done) = sync_channel(1);
        let mut flushes = self.flushes.lock().unwrap_or_else(PoisonError::into_inner);
        flushes.push(sender);
        drop(flushes);
        self.due.notify_one();
        let done = done.recv_timeout(limit);
        done.map_err(|_| OTelSdkError::Timeout(limit))
    }

    async fn run(&self, exporter: &impl Export<Record = T>, delay: Duration) {
        loop {
            if self.records.len() < self.batch {
                // After the delay a partial batch is exported, too.
                let _ = tokio::time::timeout(delay, self.due.notified()).await;
            }
            let flushes = {
                let mut flushes = self.flushes.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *flushes)
            };
            // Read after the flushes, so that the shutdown's own flush is included.
            let over = self.over.load(Ordering::Acquire);
            self.export_all(exporter).await;
            for flush in flushes {
                // The caller may be gone.
                let _ = flush.try_send(());
            }
            if over {
                return;
            }
        }
    }

    /// Exports the records that are queued now.
    async fn export_all(&self, exporter: &impl Export<Record = T>) {
        let mut left = self.records.len();
        while left > 0 {
            let count = left.min(self.batch);
            left -= count;
            let (mut batch, mut bytes) = (Vec::with_capacity(count), 0);
            while batch.len() < count
                && let Some((size, record)) = self.records.pop()
            {
                bytes += size;
                batch.push(record);
            }
            let result = self.answers.of(exporter.export(batch)).await;
            let rejected = self.answers.take();
            match result {
                Ok(()) => self.delivery.accepted(count, &rejected),
                Err(error) => self.delivery.over(count, Some(&super::reason(&error))),
            }
            self.delivery.release(count, bytes);
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.records.len())
            .finish_non_exhaustive()
    }
}
