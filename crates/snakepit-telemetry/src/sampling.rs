//! The choice of the calls that are traced.

use snakepit_core::config::ConfigError;
use snakepit_core::events::TraceContext;

/// The choice of the calls that are traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Share of the traces that is kept, from 0 to 1. Every program with the same ratio keeps the
    /// same traces.
    pub ratio: f64,
    /// `true` to follow the decision of the parent span, if there is one.
    pub parent_based: bool,
}

impl Default for Sampling {
    /// Traces all calls; with a parent span, follows the parent's decision.
    fn default() -> Self {
        Self {
            ratio: 1.0,
            parent_based: true,
        }
    }
}

/// Names of samplers in OpenTelemetry's specification.
const NAMES: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

impl Sampling {
    /// Parses the values of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`; a missing ratio is
    /// 1.
    ///
    /// # Errors
    /// The name is unknown, or the ratio is not a number from 0 to 1.
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Self, ConfigError> {
        let (parent_based, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio(argument)?,
            _ => {
                let message = format!("must be one of {}, got \"{name}\"", NAMES.join(", "));
                let help = "leave it out for parentbased_always_on";
                return Err(ConfigError::new("OTEL_TRACES_SAMPLER", message, help));
            }
        };
        Ok(Self {
            ratio,
            parent_based,
        })
    }

    /// Returns `true` if a trace is kept.
    pub(crate) fn keeps(self, parent: Option<&TraceContext>, trace: [u8; 16]) -> bool {
        if let Some(parent) = parent.filter(|_| self.parent_based) {
            return parent.is_sampled();
        }
        // The same rule as in OpenTelemetry's SDK, so that all programs keep the same traces.
        let low = u64::from_be_bytes(trace[8..].try_into().expect("it has 8 bytes")) >> 1;
        self.ratio >= 1.0 || low < (self.ratio.max(0.0) * (1_u64 << 63) as f64) as u64
    }

    /// Returns `true` if no trace without a parent is ever kept.
    pub(crate) fn is_off(self) -> bool {
        self.ratio <= 0.0
    }
}

fn ratio(argument: Option<&str>) -> Result<f64, ConfigError> {
    let text = argument.unwrap_or("1");
    let parsed = text.trim().parse::<f64>().ok();
    parsed
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| {
            let message = format!("must be a number from 0 to 1, got \"{text}\"");
            let help = "write for example 0.1";
            ConfigError::new("OTEL_TRACES_SAMPLER_ARG", message, help)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_keeps_about_that_part() {
        let sampling = Sampling::parse("traceidratio", Some("0.25")).unwrap();
        let kept = (0..10_000)
            .filter(|_| sampling.keeps(None, TraceContext::start(true).trace_id()))
            .count();
        assert!((2_000..3_000).contains(&kept), "{kept}");
    }

    #[test]
    fn a_parent_decides_where_it_is_asked() {
        let (on, off) = (TraceContext::start(true), TraceContext::start(false));
        let parse = |name| Sampling::parse(name, None).unwrap();
        for (name, with_on, with_off, alone) in [
            ("always_on", true, true, true),
            ("always_off", false, false, false),
            ("parentbased_always_on", true, false, true),
            ("parentbased_always_off", true, false, false),
            ("parentbased_traceidratio", true, false, true),
        ] {
            let keeps = |parent: Option<&TraceContext>| parse(name).keeps(parent, on.trace_id());
            let got = (keeps(Some(&on)), keeps(Some(&off)), keeps(None));
            assert_eq!(got, (with_on, with_off, alone), "{name}");
        }
    }

    #[test]
    fn other_names_and_ratios_are_refused() {
        assert!(Sampling::parse("sometimes", None).is_err());
        for ratio in ["2", "-1", "nan", "half", ""] {
            assert!(Sampling::parse("traceidratio", Some(ratio)).is_err());
        }
    }
}
