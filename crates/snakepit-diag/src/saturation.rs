//! How near a pool is to its limit.

use serde::{Deserialize, Serialize};

use crate::{Capacity, PoolReport};

/// Percentage of taken slots from which on a pool counts as approaching saturation, unless the caller names another one.
pub const THRESHOLD: f64 = 80.0;

/// A range of utilization: below 60 %, from 60, from 80 and from 90 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Band {
    /// Below 60 %.
    Low,
    /// From 60 %.
    Moderate,
    /// From 80 %.
    High,
    /// From 90 %.
    Critical,
}

impl Band {
    /// The band of a percentage.
    pub fn of(percent: f64) -> Self {
        match percent {
            90.0.. => Self::Critical,
            80.0.. => Self::High,
            60.0.. => Self::Moderate,
            _ => Self::Low,
        }
    }

    /// One word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Whether a pool approaches its limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "saturation")]
#[non_exhaustive]
pub enum Saturation {
    /// Fewer slots are taken than the threshold says.
    Healthy,
    /// So many slots of each hundred are taken.
    Approaching {
        /// Taken slots of each hundred.
        utilization_percent: f64,
    },
}

impl Capacity {
    /// The band of its utilization.
    pub fn band(&self) -> Band {
        Band::of(self.utilization_percent)
    }
}

impl PoolReport {
    /// Compares the utilization with a threshold in percent, [`THRESHOLD`] for example.
    pub fn check_saturation(&self, threshold: f64) -> Saturation {
        let utilization_percent = self.capacity.utilization_percent;
        if self.capacity.total > 0 && utilization_percent >= threshold {
            Saturation::Approaching {
                utilization_percent,
            }
        } else {
            Saturation::Healthy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_begin_at_60_80_and_90_percent() {
        for (used, band) in [
            (0, Band::Low),
            (59, Band::Low),
            (60, Band::Moderate),
            (79, Band::Moderate),
            (80, Band::High),
            (89, Band::High),
            (90, Band::Critical),
            (100, Band::Critical),
        ] {
            assert_eq!(Capacity::new(100, used).band(), band, "{used}");
        }
        assert_eq!(Band::of(f64::NAN), Band::Low);
    }

    #[test]
    fn saturation_is_told_from_the_threshold_on() {
        let pool = |total, used| PoolReport {
            capacity: Capacity::new(total, used),
            ..PoolReport::default()
        };
        let approaching = |utilization_percent| Saturation::Approaching {
            utilization_percent,
        };
        for (total, used, threshold, expected) in [
            (10, 7, THRESHOLD, Saturation::Healthy),
            (10, 8, THRESHOLD, approaching(80.0)),
            (10, 10, 100.0, approaching(100.0)),
            (10, 5, 50.0, approaching(50.0)),
            (0, 0, 0.0, Saturation::Healthy),
        ] {
            let found = pool(total, used).check_saturation(threshold);
            assert_eq!(found, expected, "{used} of {total} at {threshold}");
        }
    }
}
