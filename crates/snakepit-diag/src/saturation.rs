//! Distance of a pool from its limit.

use serde::{Deserialize, Serialize};

use crate::{Capacity, PoolReport};

/// Default percentage of used slots from which a pool approaches saturation.
pub const THRESHOLD: f64 = 80.0;

/// A band of utilization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Band {
    /// Below 60 %.
    Low,
    /// 60 % to below 80 %.
    Moderate,
    /// 80 % to below 90 %.
    High,
    /// 90 % or more.
    Critical,
}

impl Band {
    /// Returns the band of a percentage.
    pub fn of(percent: f64) -> Self {
        match percent {
            90.0.. => Self::Critical,
            80.0.. => Self::High,
            60.0.. => Self::Moderate,
            _ => Self::Low,
        }
    }

    /// Returns the word for the band.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The result of comparing a pool's utilization with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "saturation")]
#[non_exhaustive]
pub enum Saturation {
    /// The utilization is below the threshold.
    Healthy,
    /// The utilization is at or above the threshold.
    Approaching {
        /// Slots in use, in percent.
        utilization_percent: f64,
    },
}

impl Capacity {
    /// Returns the band of the utilization.
    pub fn band(&self) -> Band {
        Band::of(self.utilization_percent)
    }
}

impl PoolReport {
    /// Compares the utilization with a threshold in percent, for example [`THRESHOLD`].
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
