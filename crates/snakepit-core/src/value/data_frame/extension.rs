//! Extension types of Arrow: periods and intervals of pandas, UUIDs, truth values in bytes.

use arrow_array::Array;
use arrow_array::temporal_conversions::as_date;
use arrow_array::types::Date32Type;
use arrow_schema::Field;
use serde::Deserialize;

use super::cell;
use crate::value::Value;

/// A conversion of the cells of a field into values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cells {
    /// The values of its type.
    Plain,
    /// The text of a period, as pandas writes it.
    Period(Period),
    /// The bounds of an interval, and which of them belong to it.
    Interval(Closed),
    Uuid,
    /// Truth values in bytes.
    Bool,
}

/// The length of a column's periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Period {
    Year,
    Quarter,
    Month,
    /// A week, with the number of days from Sunday to its last day.
    Week(i64),
    BusinessDay,
    Day,
    /// An hour, a minute, a second or a fraction of it, with their number in a day.
    Clock(i64),
}

/// The bounds that are part of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Closed {
    Left,
    Right,
    Both,
    Neither,
}

impl Cells {
    /// Reads the metadata of a field.
    pub(super) fn of(field: &Field) -> Self {
        let Some(name) = field.extension_type_name() else {
            return Self::Plain;
        };
        let more = field.extension_type_metadata().unwrap_or_default();
        let known = match name {
            "pandas.period" => serde_json::from_str(more)
                .ok()
                .and_then(|OfPeriod { freq }| Period::parse(&freq))
                .map(Self::Period),
            "pandas.interval" => serde_json::from_str(more)
                .ok()
                .map(|OfInterval { closed }| Self::Interval(closed)),
            "arrow.uuid" => Some(Self::Uuid),
            "arrow.bool8" => Some(Self::Bool),
            _ => None,
        };
        known.unwrap_or(Self::Plain)
    }

    /// Returns the value of a cell, of a type that [has values](cell::has_values).
    pub(super) fn value(self, array: &dyn Array, index: usize) -> Value {
        let plain = cell::value(array, index);
        match (self, plain) {
            (Self::Period(period), Value::Int(ordinal)) => {
                period.text(ordinal).map_or(Value::Int(ordinal), Value::Str)
            }
            (Self::Interval(closed), Value::Map(mut pairs)) => {
                pairs.push(("closed".into(), closed.name().into()));
                Value::Map(pairs)
            }
            (Self::Uuid, Value::Bytes(bytes)) => {
                let sixteen = <[u8; 16]>::try_from(&*bytes);
                sixteen.map_or(Value::Bytes(bytes), Value::Uuid)
            }
            (Self::Bool, Value::Int(number)) => Value::Bool(number != 0),
            (_, plain) => plain,
        }
    }
}

#[derive(Deserialize)]
struct OfPeriod {
    freq: String,
}

#[derive(Deserialize)]
struct OfInterval {
    closed: Closed,
}

impl Closed {
    const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Both => "both",
            Self::Neither => "neither",
        }
    }
}

impl Period {
    /// Parses the name of a frequency of pandas; a number before it is ignored, because ordinals
    /// count single periods.
    fn parse(name: &str) -> Option<Self> {
        let name = name.trim_start_matches(|c: char| c.is_ascii_digit());
        let (kind, anchor) = name.split_once('-').unwrap_or((name, "SUN"));
        Some(match kind {
            "Y" | "YE" | "A" => Self::Year,
            "Q" | "QE" => Self::Quarter,
            "M" | "ME" => Self::Month,
            "W" => {
                let days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
                Self::Week(days.iter().position(|day| *day == anchor)? as i64)
            }
            "B" => Self::BusinessDay,
            "D" => Self::Day,
            "h" | "H" => Self::Clock(24),
            "min" | "T" => Self::Clock(24 * 60),
            "s" | "S" => Self::Clock(DAY),
            "ms" | "L" => Self::Clock(DAY * 1_000),
            "us" | "U" => Self::Clock(DAY * 1_000_000),
            "ns" | "N" => Self::Clock(DAY * 1_000_000_000),
            _ => return None,
        })
    }

    /// Returns the text of a period. `None` if it is outside of the calendar.
    fn text(self, ordinal: i64) -> Option<String> {
        let year = |years: i64| years.checked_add(1970);
        Some(match self {
            Self::Year => format!("{:04}", year(ordinal)?),
            Self::Quarter => {
                let quarter = ordinal.rem_euclid(4) + 1;
                format!("{:04}Q{quarter}", year(ordinal.div_euclid(4))?)
            }
            Self::Month => {
                let month = ordinal.rem_euclid(12) + 1;
                format!("{:04}-{month:02}", year(ordinal.div_euclid(12))?)
            }
            Self::Week(after_sunday) => {
                let last = ordinal.checked_mul(7)?.checked_add(after_sunday - 4)?;
                format!("{}/{}", date(last.checked_sub(6)?)?, date(last)?)
            }
            Self::BusinessDay => {
                let from_monday = ordinal.checked_add(3)?;
                let weeks = from_monday.div_euclid(5).checked_mul(7)?;
                date(weeks.checked_add(from_monday.rem_euclid(5) - 3)?)?
            }
            Self::Day => date(ordinal)?,
            Self::Clock(in_a_day) => {
                let day = date(ordinal.div_euclid(in_a_day))?;
                format!("{day} {}", clock(ordinal.rem_euclid(in_a_day), in_a_day))
            }
        })
    }
}

/// Number of seconds in a day.
const DAY: i64 = 86_400;

/// Returns the date that is this number of days after 1970-01-01.
fn date(days: i64) -> Option<String> {
    let days = i32::try_from(days).ok()?;
    as_date::<Date32Type>(days.into()).map(|date| format!("{date:?}"))
}

/// Returns the time of day after this number of steps, with the precision of a step.
fn clock(steps: i64, in_a_day: i64) -> String {
    if in_a_day <= DAY {
        let seconds = steps * (DAY / in_a_day);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        return match in_a_day {
            DAY => format!("{hour:02}:{minute:02}:{second:02}"),
            _ => format!("{hour:02}:{minute:02}"),
        };
    }
    let in_a_second = in_a_day / DAY;
    let digits = in_a_second.ilog10() as usize;
    let whole = clock(steps / in_a_second, DAY);
    format!("{whole}.{:0digits$}", steps % in_a_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_the_texts_of_pandas() {
        for (freq, ordinal, text) in [
            ("Y-DEC", 54, "2024"),
            ("Q-DEC", 217, "2024Q2"),
            ("2M", -1, "1969-12"),
            ("W-SUN", 1, "1969-12-29/1970-01-04"),
            ("W-WED", 0, "1969-12-25/1969-12-31"),
            ("B", 2, "1970-01-05"),
            ("D", 19_723, "2024-01-01"),
            ("h", -1, "1969-12-31 23:00"),
            ("min", 61, "1970-01-01 01:01"),
            ("s", 1, "1970-01-01 00:00:01"),
            ("ms", 1, "1970-01-01 00:00:00.001"),
            ("ns", -1, "1969-12-31 23:59:59.999999999"),
        ] {
            let period = Period::parse(freq).unwrap();
            assert_eq!(period.text(ordinal).as_deref(), Some(text), "{freq}");
        }
        assert_eq!(Period::parse("fortnight"), None);
        for freq in ["Y", "W-SAT", "B", "D", "ns"] {
            let period = Period::parse(freq).unwrap();
            for ordinal in [i64::MIN, i64::MAX] {
                period.text(ordinal);
            }
        }
    }
}
