//! The benchmarks, one question for each file.

mod affinity;
mod codec;
mod foreign;
mod frames;
mod large;
mod looks;
mod many;
mod memory;
mod payload;
mod pool;
mod profiles;
mod profiling;
mod round_trip;
mod scheduler;
mod session;
mod startup;
mod stream;
mod telemetry;

use crate::Result;
use crate::cli::Plan;
use crate::contest::Series;
use crate::row::{Row, Target};

/// One benchmark: its name on the command line and its function.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Plan) -> Result<Vec<Row>>,
}

/// All benchmarks, in the order of a full run: pure parts first.
pub(crate) const ALL: &[Bench] = &[
    Bench {
        name: "scheduler",
        run: scheduler::run,
    },
    Bench {
        name: "affinity",
        run: affinity::run,
    },
    Bench {
        name: "pool",
        run: pool::run,
    },
    Bench {
        name: "codec",
        run: codec::run,
    },
    Bench {
        name: "round_trip",
        run: round_trip::run,
    },
    Bench {
        name: "foreign",
        run: foreign::run,
    },
    Bench {
        name: "session",
        run: session::run,
    },
    Bench {
        name: "stream",
        run: stream::run,
    },
    Bench {
        name: "many",
        run: many::run,
    },
    Bench {
        name: "payload",
        run: payload::run,
    },
    Bench {
        name: "large",
        run: large::run,
    },
    Bench {
        name: "frames",
        run: frames::run,
    },
    Bench {
        name: "profiles",
        run: profiles::run,
    },
    Bench {
        name: "startup",
        run: startup::run,
    },
    Bench {
        name: "telemetry",
        run: telemetry::run,
    },
    Bench {
        name: "looks",
        run: looks::run,
    },
    Bench {
        name: "profiling",
        run: profiling::run,
    },
    Bench {
        name: "memory",
        run: memory::run,
    },
];

/// The metrics of a loop of calls: requests a second, and latencies in microseconds.
const CALLS: [(&str, &str); 5] = [
    ("rate", "1/s"),
    ("p50", "us"),
    ("p99", "us"),
    ("p99.9", "us"),
    ("max", "us"),
];

/// Returns the names of [`CALLS`].
fn metrics() -> [&'static str; 5] {
    CALLS.map(|(metric, _)| metric)
}

/// Returns a row for each metric that our entrant has, with its requirements.
fn rows(
    (bench, case): (&'static str, &str),
    metrics: &[(&'static str, &'static str)],
    series: &Series,
    targets: &[(&str, Target)],
) -> Vec<Row> {
    let row = |metric: &(&'static str, &'static str)| {
        let row = Row::from_series(bench, case, *metric, series)?;
        let of_metric = targets.iter().filter(|(of, _)| *of == metric.0);
        Some(of_metric.fold(row, |row, (_, target)| row.target(*target)))
    };
    metrics.iter().filter_map(row).collect()
}
