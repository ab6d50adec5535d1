//! Units of times in arrays, those of numpy's `datetime64` and `timedelta64`.

use std::fmt;

/// Unit of the times in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// No unit: plain numbers.
    Generic,
    /// Calendar years.
    Year,
    /// Calendar months.
    Month,
    /// Weeks.
    Week,
    /// Days.
    Day,
    /// Hours.
    Hour,
    /// Minutes.
    Minute,
    /// Seconds.
    Second,
    /// Thousandths of a second.
    Millisecond,
    /// Millionths of a second.
    Microsecond,
    /// 10⁻⁹ s.
    Nanosecond,
    /// 10⁻¹² s.
    Picosecond,
    /// 10⁻¹⁵ s.
    Femtosecond,
    /// 10⁻¹⁸ s.
    Attosecond,
}

/// Units with their signs in numpy and their names; the index is the number on the wire.
const UNITS: [(TimeUnit, &str, &str); 14] = [
    (TimeUnit::Generic, "", ""),
    (TimeUnit::Year, "Y", "years"),
    (TimeUnit::Month, "M", "months"),
    (TimeUnit::Week, "W", "weeks"),
    (TimeUnit::Day, "D", "days"),
    (TimeUnit::Hour, "h", "hours"),
    (TimeUnit::Minute, "m", "minutes"),
    (TimeUnit::Second, "s", "seconds"),
    (TimeUnit::Millisecond, "ms", "milliseconds"),
    (TimeUnit::Microsecond, "us", "microseconds"),
    (TimeUnit::Nanosecond, "ns", "nanoseconds"),
    (TimeUnit::Picosecond, "ps", "picoseconds"),
    (TimeUnit::Femtosecond, "fs", "femtoseconds"),
    (TimeUnit::Attosecond, "as", "attoseconds"),
];

impl TimeUnit {
    /// Returns the sign in numpy: `ns`, `D`; empty without a unit.
    pub const fn sign(self) -> &'static str {
        UNITS[self as usize].1
    }

    pub(crate) const fn word(self) -> &'static str {
        UNITS[self as usize].2
    }
}

/// Length of one step of the times in an array: a number of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeStep {
    unit: TimeUnit,
    count: u32,
}

impl TimeStep {
    /// Creates a step of one unit.
    pub const fn of(unit: TimeUnit) -> Self {
        Self { unit, count: 1 }
    }

    /// Creates a step of several units, at least one and at most `i32::MAX`. Without a unit,
    /// `count` must be 1. `None` for other counts.
    pub const fn new(unit: TimeUnit, count: u32) -> Option<Self> {
        let fits = count > 0 && count <= i32::MAX as u32;
        if fits && (count == 1 || !matches!(unit, TimeUnit::Generic)) {
            Some(Self { unit, count })
        } else {
            None
        }
    }

    /// Returns the unit.
    pub const fn unit(self) -> TimeUnit {
        self.unit
    }

    /// Returns the number of units in one step.
    pub const fn count(self) -> u32 {
        self.count
    }

    pub(crate) fn from_wire(unit: u8, count: u32) -> Option<Self> {
        let (unit, ..) = UNITS.get(usize::from(unit))?;
        Self::new(*unit, count)
    }

    /// Parses a step such as `[25s]`; the empty text is the step without a unit.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::of(TimeUnit::Generic));
        }
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        let sign = inner.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let (unit, ..) = UNITS.iter().skip(1).find(|(_, known, _)| *known == sign)?;
        let count = match &inner[..inner.len() - sign.len()] {
            "" => 1,
            digits => digits.parse().ok()?,
        };
        Self::new(*unit, count)
    }
}

impl fmt::Display for TimeStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.unit, self.count) {
            (TimeUnit::Generic, _) => Ok(()),
            (unit, 1) => write!(f, "[{}]", unit.sign()),
            (unit, count) => write!(f, "[{count}{}]", unit.sign()),
        }
    }
}
