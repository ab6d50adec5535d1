//! A program that does one thing and must end well, also when it is told to stop.

use std::time::Duration;

use snakepit_core::events::{Event, Events, kind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

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
        let script = Told::new(self);
        let (output, mut first) = tokio::select! {
            output = work => (Some(output), None),
            number = signals.next() => (None, Some(number)),
        };
        let began = Instant::now();
        script.begins(first);
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
        let end = ScriptEnd {
            output,
            signal: first,
            report,
        };
        script.ends(&end, began.elapsed());
        Ok(end)
    }
}

/// Emits the events of the end of a script.
struct Told {
    events: Events,
    run: String,
}

impl Told {
    fn new(snakepit: &Snakepit) -> Self {
        #[cfg(feature = "process")]
        let run = snakepit.run_id().unwrap_or_default();
        #[cfg(not(feature = "process"))]
        let run = String::new();
        Self {
            events: snakepit.host_state().events().clone(),
            run,
        }
    }

    fn begins(&self, signal: Option<i32>) {
        let run = || self.run.clone();
        let cause = match signal {
            None => "done",
            Some(2) => "sigint",
            Some(_) => "sigterm",
        };
        let start = || Event::ScriptShutdownStart { run: run(), cause };
        self.events.emit(kind::ScriptShutdownStart, start);
        let stop = || Event::ScriptShutdownStop { run: run() };
        self.events.emit(kind::ScriptShutdownStop, stop);
    }

    fn ends<T>(&self, end: &ScriptEnd<T>, took: Duration) {
        let run = || self.run.clone();
        let remaining = end.report.leftover.len() as u64;
        let cleanup = || Event::ScriptShutdownCleanup {
            run: run(),
            remaining,
        };
        self.events.emit(kind::ScriptShutdownCleanup, cleanup);
        let exit = || Event::ScriptShutdownExit {
            run: run(),
            status: i32::from(end.exit_code()),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        self.events.emit(kind::ScriptShutdownExit, exit);
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
