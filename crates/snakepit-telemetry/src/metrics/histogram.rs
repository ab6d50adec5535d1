//! Distributions with explicit buckets, and exemplars that link them to traces.

use std::time::SystemTime;

use snakepit_core::events::TraceContext;

/// A distribution of values.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bounds of the buckets except for the last bucket, which has none.
    pub bounds: &'static [f64],
    /// Number of values in each bucket, one more than there are bounds.
    pub counts: Vec<u64>,
    /// Sum of all values.
    pub sum: f64,
    /// The last value of each bucket that belongs to a sampled trace.
    pub exemplars: Vec<Option<Exemplar>>,
}

/// A value that belongs to a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Exemplar {
    /// The value.
    pub value: f64,
    /// Wall-clock time of the value.
    pub at: SystemTime,
    /// The span of the value.
    pub trace: TraceContext,
}

/// The trace and the time of a value that becomes an exemplar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Example {
    at: SystemTime,
    trace: TraceContext,
}

impl Example {
    /// Creates an example with the current time. `None` if its trace is not sampled.
    pub(super) fn now(trace: Option<TraceContext>) -> Option<Self> {
        let trace = trace.filter(TraceContext::is_sampled)?;
        let at = SystemTime::now();
        Some(Self { at, trace })
    }
}

/// Upper bounds in seconds: from 100 µs to 10 minutes, about three for each power of ten.
pub(super) const SECONDS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// Upper bounds for values of any other unit: the defaults of OpenTelemetry's specification.
pub(super) const ANY: &[f64] = &[
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10_000.0,
];

impl Histogram {
    /// Creates an empty histogram.
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
            exemplars: vec![None; bounds.len() + 1],
        }
    }

    /// Adds a value, and its exemplar if there is an example.
    pub(super) fn observe(&mut self, value: f64, example: Option<Example>) {
        // From the first one on, where most values are.
        let below = self.bounds.iter().take_while(|bound| **bound < value);
        let bucket = below.count();
        self.counts[bucket] += 1;
        self.sum += value;
        if let Some(Example { at, trace }) = example {
            self.exemplars[bucket] = Some(Exemplar { value, at, trace });
        }
    }

    /// Adds the values of another histogram with the same bounds.
    pub(super) fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        for (own, other) in self.exemplars.iter_mut().zip(&other.exemplars) {
            let later = |other: &Exemplar| own.is_none_or(|own| own.at < other.at);
            if let Some(other) = other.filter(later) {
                *own = Some(other);
            }
        }
    }

    /// Returns the number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_value_is_in_the_first_bucket_whose_bound_holds_it(
            values in prop::collection::vec(0.0..1000.0_f64, 0..50),
        ) {
            let mut histogram = Histogram::new(SECONDS);
            for value in &values {
                histogram.observe(*value, None);
            }
            let mut expected = vec![0; SECONDS.len() + 1];
            for value in &values {
                let holds = |bound: &f64| value <= bound;
                expected[SECONDS.iter().position(holds).unwrap_or(SECONDS.len())] += 1;
            }
            prop_assert_eq!(&histogram.counts, &expected);
            prop_assert_eq!(histogram.count(), values.len() as u64);
        }
    }

    #[test]
    fn only_sampled_traces_leave_an_exemplar() {
        let mut histogram = Histogram::new(SECONDS);
        histogram.observe(0.3, Example::now(Some(TraceContext::start(false))));
        assert!(histogram.exemplars.iter().all(Option::is_none));
        let sampled = TraceContext::start(true);
        histogram.observe(0.3, Example::now(Some(sampled)));
        let kept: Vec<_> = histogram.exemplars.iter().flatten().collect();
        assert_eq!((kept.len(), kept[0].trace), (1, sampled));
    }
}
