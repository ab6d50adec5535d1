//! Standard variables that have no effect here, which a warning names.

use super::variables::Variables;

/// A variable without an effect.
struct Unsupported {
    name: &'static str,
    /// Values, or parts of a list, that describe what happens anyway.
    same: &'static [&'static str],
    /// The reason, as a clause.
    reason: &'static str,
}

const UNSUPPORTED: [Unsupported; 8] = [
    Unsupported {
        name: "OTEL_CONFIG_FILE",
        same: &[],
        reason: "settings come from the table `telemetry` and from the other variables",
    },
    Unsupported {
        name: "OTEL_EXPERIMENTAL_CONFIG_FILE",
        same: &[],
        reason: "settings come from the table `telemetry` and from the other variables",
    },
    Unsupported {
        name: "OTEL_ENTITIES",
        same: &[],
        reason: "set OTEL_RESOURCE_ATTRIBUTES",
    },
    Unsupported {
        name: "OTEL_LOG_LEVEL",
        same: &[],
        reason: "the program's `tracing` subscriber chooses the level of `snakepit::telemetry`",
    },
    Unsupported {
        name: "OTEL_PROPAGATORS",
        same: &["tracecontext", "baggage"],
        reason: "the context is propagated as tracecontext",
    },
    Unsupported {
        name: "OTEL_METRICS_EXEMPLAR_FILTER",
        same: &["trace_based"],
        reason: "exemplars are the traced calls",
    },
    Unsupported {
        name: "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        same: &["cumulative"],
        reason: "metrics are cumulative",
    },
    Unsupported {
        name: "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        same: &["explicit_bucket_histogram"],
        reason: "histograms have fixed buckets",
    },
];

/// Returns a warning for each variable that is set and has no effect.
pub(super) fn found(variables: &Variables) -> Vec<String> {
    let found = UNSUPPORTED.iter().filter_map(|unsupported| {
        let (name, value) = variables.first(&[unsupported.name])?;
        let is_same = |part: &str| {
            let part = part.trim();
            unsupported
                .same
                .iter()
                .any(|same| same.eq_ignore_ascii_case(part))
        };
        let differs = !value.split(',').all(is_same);
        differs.then(|| {
            let (value, reason) = (value.escape_debug(), unsupported.reason);
            format!("{name}={value} has no effect: {reason}")
        })
    });
    found.collect()
}
