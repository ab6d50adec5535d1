//! A program that does one thing and must end well, also when it is told to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{ShutdownReport, Snakepit};

/// How [`Snakepit::run_as_script`] ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScriptEnd<T> {
    /// What the work returned; nothing when a signal came first.
    pub output: Option<T>,
    /// The signal that ended it: 2 (SIGINT) or 15 (SIGTERM).
    pub signal: Option<i32>,
    /// How the workers ended.
    pub report: ShutdownReport,
}

impl<T> ScriptEnd<T> {
    /// The exit status that shells expect: 128 plus the number of the signal, or 0.
    pub fn exit_code(&self) -> u8 {
        let signal = self.signal.and_then(|number| u8::try_from(number).ok());
        signal.map_or(0, |number| 128_u8.saturating_add(number))
    }
}

impl Snakepit {
    /// Does `work` and [shuts down](Self::shutdown). SIGINT and SIGTERM drop the work and shut down; a second one skips all waits and kills
    /// the workers.
    ///
    /// The signals stay caught for the rest of the process.
    ///
    /// # Errors
    /// The signals cannot be caught. Nothing was done then.
    pub async fn run_as_script<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> std::io::Result<ScriptEnd<T>> {
        let mut signals = Signals::new()?;
        let (output, mut first) = tokio::select! {
            output = work => (Some(output), None),
            number = signals.next() => (None, Some(number)),
        };
        let report = loop {
            tokio::select! {
                report = self.shutdown() => break report,
                number = signals.next() => {
                    let second = first.replace(first.unwrap_or(number)).is_some();
                    if second {
                        break self.kill().await;
                    }
                }
            }
        };
        Ok(ScriptEnd {
            output,
            signal: first,
            report,
        })
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Number of the next one.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}
