//! Load: a closed loop of callers, an open loop of Poisson arrivals, and the histogram of the
//! results.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Result;
use crate::contest::Figures;

/// The outcome of one round: a latency for each call, and the duration of all.
#[derive(Debug)]
pub(crate) struct Load {
    latencies: Histogram<u64>,
    elapsed: Duration,
}

/// Creates a histogram of nanoseconds up to a minute, exact to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Load {
    /// Measures each call of `call`, one after the other, for `duration`.
    pub(crate) fn blocking(
        duration: Duration,
        mut call: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let mut latencies = histogram();
        let begin = Instant::now();
        let mut before = begin;
        while before - begin < duration {
            call()?;
            let after = Instant::now();
            latencies.saturating_record(nanos(after - before));
            before = after;
        }
        Ok(Self {
            latencies,
            elapsed: before - begin,
        })
    }

    /// Returns the calls a second and the latencies in microseconds.
    pub(crate) fn figures(&self) -> Figures {
        let at = |quantile| micros(self.latencies.value_at_quantile(quantile));
        Figures::from([
            (
                "rate",
                self.latencies.len() as f64 / self.elapsed.as_secs_f64(),
            ),
            ("p50", at(0.5)),
            ("p99", at(0.99)),
            ("p99.9", at(0.999)),
            ("max", micros(self.latencies.max())),
        ])
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

/// Runs a closed loop: `callers` tasks, each with one call at a time, for `duration`.
///
/// The callers are spawned tasks, as in a program; their futures do not run on the blocked main
/// thread.
pub(crate) async fn closed<F, T>(callers: usize, duration: Duration, call: F) -> Result<Load>
where
    F: Fn() -> T + Clone + Send + 'static,
    T: Future<Output = Result<()>> + Send + 'static,
{
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let call = call.clone();
        tasks.spawn(async move {
            let mut latencies = histogram();
            let mut before = Instant::now();
            while before - begin < duration {
                call().await?;
                let after = Instant::now();
                latencies.saturating_record(nanos(after - before));
                before = after;
            }
            Ok(latencies)
        });
    }
    let mut latencies = histogram();
    while let Some(joined) = tasks.join_next().await {
        let one: Result<Histogram<u64>> = joined?;
        latencies.add(one?)?;
    }
    Ok(Load {
        latencies,
        elapsed: begin.elapsed(),
    })
}

/// Runs an open loop for `duration`: calls arrive at random (Poisson) at `rate` a second,
/// independent of the end of earlier ones.
///
/// A separate thread makes the arrivals, because the timers of the runtime are too coarse for it;
/// it blocks until all calls are done. A call's latency counts from its arrival.
pub(crate) fn open<F, T>(runtime: &Handle, rate: f64, duration: Duration, call: F) -> Result<Load>
where
    F: Fn() -> T + Clone + Send + 'static,
    T: Future<Output = Result<()>> + Send + 'static,
{
    let latencies = Arc::new(Mutex::new(histogram()));
    let mut random = fastrand::Rng::with_seed(7);
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    let mut due = Duration::ZERO;
    while due < duration {
        let early = due.saturating_sub(begin.elapsed());
        if !early.is_zero() {
            std::thread::sleep(early);
        }
        let arrival = Instant::now();
        let (call, latencies) = (call.clone(), Arc::clone(&latencies));
        tasks.spawn_on(
            async move {
                call().await?;
                let latency = nanos(arrival.elapsed());
                lock(&latencies).saturating_record(latency);
                Ok(())
            },
            runtime,
        );
        due += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / rate);
    }
    runtime.block_on(async {
        while let Some(joined) = tasks.join_next().await {
            let one: Result<()> = joined?;
            one?;
        }
        Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    })?;
    let elapsed = begin.elapsed();
    let latencies = lock(&latencies).clone();
    Ok(Load { latencies, elapsed })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Load, closed, open};

    #[test]
    fn loops_count_what_they_call() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .worker_threads(1)
            .build();
        let runtime = runtime.unwrap();
        let short = Duration::from_millis(20);
        let one = Load::blocking(short, || Ok(())).unwrap();
        let two = runtime
            .block_on(closed(3, short, || async { Ok(()) }))
            .unwrap();
        let three = open(runtime.handle(), 2000.0, short, || async { Ok(()) }).unwrap();
        for load in [one, two, three] {
            let figures = load.figures();
            assert!(figures["rate"] > 100.0, "{figures:?}");
            assert!(figures["p50"] <= figures["p99"] && figures["p99"] <= figures["max"]);
        }
    }

    #[tokio::test]
    async fn a_failed_call_ends_the_loop() {
        let load = closed(2, Duration::from_secs(60), || async { Err("no".into()) }).await;
        assert_eq!(load.unwrap_err().to_string(), "no");
    }
}
