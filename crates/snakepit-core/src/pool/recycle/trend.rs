//! The memory trend of one worker, and the decision that follows.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// Number of samples that are kept.
const KEPT: usize = 32;

/// Number of samples that suffice for a trend.
const ENOUGH: usize = 8;

/// Correlation of time and memory from which growth is a trend and not noise.
const CLEAR: f64 = 0.8;

/// Memory of one worker, all its processes together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemoryStatus {
    /// Bytes at the last sample.
    pub bytes: u64,
    /// Largest number of bytes at any sample.
    pub peak_bytes: u64,
    /// The worker's own limit in bytes.
    pub limit_bytes: u64,
    /// Growth in bytes per second. `None` without clear growth.
    pub growth: Option<f64>,
    /// Seconds until the limit is reached at this growth. `None` without clear growth.
    pub limit_in_seconds: Option<f64>,
    /// Decision that follows.
    pub decision: MemoryDecision,
}

/// The decision that follows from a worker's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemoryDecision {
    /// The worker is kept.
    Keep,
    /// The worker would reach the limit before it is replaced for another reason: it is replaced
    /// once it has no call and none waits.
    ReplaceWhenQuiet,
    /// The worker is above the limit: it is replaced.
    Replace,
}

/// The last samples of one worker.
#[derive(Debug)]
pub(crate) struct MemoryTrend {
    limit: u64,
    /// Samples in a row that must be above the limit.
    needed: u32,
    above: u32,
    peak: u64,
    samples: VecDeque<(Instant, u64)>,
}

impl MemoryTrend {
    pub(crate) fn new(limit: u64, needed: u32) -> Self {
        Self {
            limit,
            needed,
            above: 0,
            peak: 0,
            samples: VecDeque::new(),
        }
    }

    pub(crate) fn record(&mut self, at: Instant, bytes: u64) {
        self.above = match bytes > self.limit {
            true => self.above.saturating_add(1),
            false => 0,
        };
        self.peak = self.peak.max(bytes);
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back((at, bytes));
    }

    /// Returns the growth in bytes per second. `None` if it is not clear.
    fn growth(&self) -> Option<f64> {
        if self.samples.len() < ENOUGH {
            return None;
        }
        let first = self.samples.front()?;
        let count = self.samples.len() as f64;
        let points = || {
            self.samples.iter().map(|(at, bytes)| {
                let time = at.saturating_duration_since(first.0).as_secs_f64();
                (time, *bytes as f64)
            })
        };
        let sum = points().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let mean = (sum.0 / count, sum.1 / count);
        let (mut times, mut sizes, mut both) = (0.0, 0.0, 0.0);
        for (time, size) in points() {
            let (time, size) = (time - mean.0, size - mean.1);
            times += time * time;
            sizes += size * size;
            both += time * size;
        }
        let clear = both > 0.0 && both * both >= CLEAR * CLEAR * times * sizes;
        clear.then(|| both / times)
    }

    /// Returns the time from the last sample to the limit at this growth.
    fn limit_in(&self, growth: f64) -> Duration {
        let last = self.samples.back().map_or(0, |(_, bytes)| *bytes);
        let left = self.limit.saturating_sub(last) as f64;
        Duration::try_from_secs_f64(left / growth).unwrap_or(Duration::MAX)
    }

    /// Returns the decision for a worker that is replaced for another reason in `natural` at the
    /// earliest. A trend is extrapolated no further than it has been observed.
    pub(crate) fn decision(&self, natural: Option<Duration>) -> MemoryDecision {
        if self.above >= self.needed {
            return MemoryDecision::Replace;
        }
        let Some(growth) = self.growth() else {
            return MemoryDecision::Keep;
        };
        let watched = match (self.samples.front(), self.samples.back()) {
            (Some(first), Some(last)) => last.0.saturating_duration_since(first.0),
            _ => Duration::ZERO,
        };
        let reach = natural.map_or(watched, |natural| natural.min(watched));
        match self.limit_in(growth) < reach {
            true => MemoryDecision::ReplaceWhenQuiet,
            false => MemoryDecision::Keep,
        }
    }

    /// Returns the status. `None` before the first sample.
    pub(crate) fn status(&self, natural: Option<Duration>) -> Option<MemoryStatus> {
        let (_, bytes) = *self.samples.back()?;
        let growth = self.growth();
        Some(MemoryStatus {
            bytes,
            peak_bytes: self.peak,
            limit_bytes: self.limit,
            growth,
            limit_in_seconds: growth.map(|growth| self.limit_in(growth).as_secs_f64()),
            decision: self.decision(natural),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: u64 = 1_000_000;

    fn trend(samples: impl IntoIterator<Item = u64>) -> MemoryTrend {
        let (mut trend, start) = (MemoryTrend::new(LIMIT, 3), Instant::now());
        for (second, bytes) in samples.into_iter().enumerate() {
            trend.record(start + Duration::from_secs(second as u64), bytes);
        }
        trend
    }

    #[test]
    fn one_peak_is_no_reason() {
        let peaks = [2 * LIMIT, 2 * LIMIT, 1, 2 * LIMIT, 2 * LIMIT, 1];
        assert_eq!(trend(peaks).decision(None), MemoryDecision::Keep);
        let status = trend(peaks).status(None).expect("there are samples");
        assert_eq!((status.bytes, status.peak_bytes), (1, 2 * LIMIT));
        let lasting = [1, 2 * LIMIT, 2 * LIMIT, 2 * LIMIT];
        assert_eq!(trend(lasting).decision(None), MemoryDecision::Replace);
    }

    #[test]
    fn growth_counts_when_it_gets_to_the_limit_first() {
        // 20 s of 40 kB/s: 240 kB are left, that is 6 s.
        let trend = trend((0..20).map(|second| second * 40_000));
        let status = trend.status(None).expect("there are samples");
        assert!((status.growth.expect("it grows") - 40_000.0).abs() < 1.0);
        assert!((status.limit_in_seconds.expect("it grows") - 6.0).abs() < 0.1);
        assert_eq!(status.decision, MemoryDecision::ReplaceWhenQuiet);
        let natural = |seconds| trend.decision(Some(Duration::from_secs(seconds)));
        assert_eq!(natural(5), MemoryDecision::Keep);
        assert_eq!(natural(7), MemoryDecision::ReplaceWhenQuiet);
    }

    #[test]
    fn a_saw_is_no_growth() {
        let saw = (0..32).map(|second| 300_000 + second % 4 * 200_000);
        assert_eq!(trend(saw).decision(None), MemoryDecision::Keep);
    }

    proptest! {
        #[test]
        fn a_line_is_found_and_what_shrinks_is_not(
            start in 0_u64..LIMIT, slope in 1_u64..30_000, samples in ENOUGH..KEPT,
        ) {
            let line = (0..samples as u64).map(|second| start + second * slope);
            let found = trend(line.clone()).growth().expect("a line is clear");
            prop_assert!((found / slope as f64 - 1.0).abs() < 1e-6);
            let shrinking: Vec<_> = line.collect();
            let shrinking = trend(shrinking.into_iter().rev());
            prop_assert_eq!(shrinking.growth(), None);
        }
    }
}
