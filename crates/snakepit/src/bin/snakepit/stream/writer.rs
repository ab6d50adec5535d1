//! Values on their way to stdout, which may be a pipe that nobody reads.

use std::io;
use std::thread;

use snakepit::Value;
use tokio::sync::{mpsc, oneshot};

use crate::failure::Failure;
use crate::output;

/// Values that wait.
const WAITING: usize = 16;

/// Writes values on a thread of its own, so that a reader who does not read holds up neither signals nor the time-out.
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
                    // A chunk may hold line breaks, so texts are JSON here too: one line is one chunk.
                    result = output::value(&value, true);
                    if result.is_err() {
                        break;
                    }
                }
                drop(values);
                // Nobody waits for it when the program ends for another reason.
                let _ = end.send(result);
            })?;
        Ok(Self { way, ended })
    }

    /// Takes a value once there is room; returns false if nothing can be written any more.
    pub(super) async fn put(&self, value: Value) -> bool {
        self.way.send(value).await.is_ok()
    }

    /// Waits until all is written.
    pub(super) async fn end(self) -> Result<(), Failure> {
        drop(self.way);
        self.ended.await.unwrap_or(Ok(()))
    }
}
