//! A writer of values to stdout, which may be a pipe that nothing reads.

use std::io;
use std::thread;

use snakepit::Value;
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;
use crate::output;

/// Maximum number of values that wait to be written.
const WAITING: usize = 16;

/// Writes values on a separate thread, so that a stalled reader blocks neither signals nor the
/// time-out.
#[derive(Debug)]
pub(super) struct Writer {
    way: mpsc::Sender<Value>,
    ended: oneshot::Receiver<Result<(), Failure>>,
}

impl Writer {
    pub(super) fn start() -> io::Result<Self> {
        let (way, mut values) = mpsc::channel(WAITING);
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || {
                let mut result = Ok(());
                while let Some(value) = values.blocking_recv() {
                    // A chunk may contain line breaks; as JSON, each chunk is one line.
                    result = output::value(&value, true);
                    if result.is_err() {
                        break;
                    }
                }
                drop(values);
                // If the program ends for another reason, the receiver is gone.
                let _ = end.send(result);
            })?;
        Ok(Self { way, ended })
    }

    /// Queues a value, waiting for room. Returns false if nothing can be written any more.
    pub(super) async fn put(&self, value: Value) -> bool {
        self.way.send(value).await.is_ok()
    }

    /// Waits until everything is written.
    pub(super) async fn end(self) -> Result<(), Failure> {
        drop(self.way);
        self.ended.await.unwrap_or(Ok(()))
    }
}
