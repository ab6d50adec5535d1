//! Running a script: one piece of work, then an orderly end, also after a signal.

use std::time::Duration;

use snakepit_core::events::{Event, Events, kind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::{BuildError, ShutdownReport, Snakepit, SnakepitBuilder};

/// The result of [`Snakepit::run_as_script`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScriptEnd<T> {
    /// The result of the work. `None` if a signal came first.
    pub output: Option<T>,
    /// The signal that ended the script: 2 (SIGINT) or 15 (SIGTERM). `None` if the work finished.
    pub signal: Option<i32>,
    /// The result of the shutdown.
    pub report: ShutdownReport,
}

impl<T> ScriptEnd<T> {
    /// Returns the exit status that shells expect: 128 plus the number of the signal, or 0.
    pub fn exit_code(&self) -> u8 {
        let signal = self.signal.and_then(|number| u8::try_from(number).ok());
        signal.map_or(0, |number| 128_u8.saturating_add(number))
    }
}

impl SnakepitBuilder {
    /// Starts the host, runs `work` with it and shuts it down. SIGINT and SIGTERM end it at any
    /// time, also during the start.
    ///
    /// ```no_run
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// use snakepit::{Snakepit, args};
    ///
    /// let builder = Snakepit::builder().adapter("tools.py");
    /// let end = builder
    ///     .run_as_script(async |snakepit| {
    ///         snakepit.execute::<f64>("mean", args! { "xs" => [1.0, 2.0] }).await
    ///     })
    ///     .await?;
    /// println!("{:?}", end.output);
    /// std::process::exit(end.exit_code().into());
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`start`](Self::start), and [`BuildError::Signals`]. Nothing is left running.
    ///
    /// # Cancel safety
    /// Dropping the future drops the work and stops the workers.
    pub async fn run_as_script<T>(
        self,
        work: impl AsyncFnOnce(Snakepit) -> T,
    ) -> Result<ScriptEnd<T>, BuildError> {
        let uncaught = |error: std::io::Error| BuildError::Signals {
            reason: error.to_string(),
        };
        let mut signals = Signals::new().map_err(uncaught)?;
        let snakepit = tokio::select! {
            snakepit = self.start() => snakepit?,
            number = signals.next() => return Ok(ScriptEnd {
                output: None,
                signal: Some(number),
                report: ShutdownReport::default(),
            }),
        };
        Ok(snakepit.end_after(work(snakepit.clone()), signals).await)
    }
}

impl Snakepit {
    /// Runs `work` and [shuts down](Self::shutdown). SIGINT and SIGTERM drop the work and shut
    /// down; a second signal skips all waits and kills the workers.
    ///
    /// The signals stay caught for the rest of the process.
    ///
    /// # Errors
    /// The signals cannot be caught. In that case nothing has run.
    pub async fn run_as_script<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> std::io::Result<ScriptEnd<T>> {
        Ok(self.end_after(work, Signals::new()?).await)
    }

    async fn end_after<T>(
        &self,
        work: impl Future<Output = T>,
        mut signals: Signals,
    ) -> ScriptEnd<T> {
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
        end
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

    /// Waits for the next signal and returns its number.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}
