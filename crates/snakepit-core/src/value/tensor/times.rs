//! Conversion of times in arrays into values: dates, dates with a time, time spans.

use super::{TimeStep, TimeUnit};
use crate::value::Value;

/// The number that stands for not-a-time.
const NOT_A_TIME: i64 = i64::MIN;

/// Converts a moment into a [`Value::Date`] if its unit is a day or longer, else into a
/// [`Value::DateTime`] with the digits of its unit.
pub(super) fn moment(ticks: i64, step: TimeStep) -> Value {
    if ticks == NOT_A_TIME {
        return Value::Null;
    }
    let count = i128::from(ticks) * i128::from(step.count());
    match step.unit() {
        TimeUnit::Generic => Value::Int(ticks),
        TimeUnit::Year => Value::Date(format!("{}-01-01", year(1970 + count))),
        TimeUnit::Month => {
            let (years, month) = (count.div_euclid(12), count.rem_euclid(12));
            Value::Date(format!("{}-{:02}-01", year(1970 + years), month + 1))
        }
        TimeUnit::Week => Value::Date(date(7 * count)),
        TimeUnit::Day => Value::Date(date(count)),
        TimeUnit::Hour => date_time(3600 * count, 0, 0),
        TimeUnit::Minute => date_time(60 * count, 0, 0),
        unit => {
            let digits = digits(unit);
            let parts = 10_i128.pow(digits);
            date_time(count.div_euclid(parts), count.rem_euclid(parts), digits)
        }
    }
}

/// Converts a time span into a [`Value::Duration`] if it is a whole number of microseconds that
/// fits, else into a text with its unit: `1 nanoseconds`.
pub(super) fn span(ticks: i64, step: TimeStep) -> Value {
    if ticks == NOT_A_TIME {
        return Value::Null;
    }
    let count = i128::from(ticks) * i128::from(step.count());
    let micros = match step.unit() {
        TimeUnit::Generic => return Value::Int(ticks),
        TimeUnit::Year | TimeUnit::Month => None,
        TimeUnit::Week => Some(count * 7 * 86_400_000_000),
        TimeUnit::Day => Some(count * 86_400_000_000),
        TimeUnit::Hour => Some(count * 3_600_000_000),
        TimeUnit::Minute => Some(count * 60_000_000),
        unit => match digits(unit) {
            digits @ 0..=6 => Some(count * 10_i128.pow(6 - digits)),
            digits => {
                let parts = 10_i128.pow(digits - 6);
                (count % parts == 0).then_some(count / parts)
            }
        },
    };
    match micros.and_then(|micros| i64::try_from(micros).ok()) {
        Some(micros) => Value::Duration(micros),
        None => Value::Str(format!("{count} {}", step.unit().word())),
    }
}

/// Returns the number of digits after the decimal point of a second.
const fn digits(unit: TimeUnit) -> u32 {
    match unit {
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
        TimeUnit::Picosecond => 12,
        TimeUnit::Femtosecond => 15,
        TimeUnit::Attosecond => 18,
        _ => 0,
    }
}

/// Formats a date with a time as Python's `isoformat` does: without a fraction, or with six digits
/// or more.
fn date_time(seconds: i128, fraction: i128, digits: u32) -> Value {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{}T{hour:02}:{minute:02}:{second:02}", date(days));
    if fraction != 0 {
        let width = digits.max(6) as usize;
        let fraction = fraction * 10_i128.pow(6_u32.saturating_sub(digits));
        text.push_str(&format!(".{fraction:0width$}"));
    }
    Value::DateTime(text)
}

/// Formats the date `days` days after 1 January 1970, by Howard Hinnant's `civil_from_days`.
fn date(days: i128) -> String {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // The year begins in March here.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year_number = year_of_era + era * 400 + i128::from(month <= 2);
    format!("{}-{month:02}-{day:02}", year(year_number))
}

/// Formats a year with four digits, or with a sign and more.
fn year(number: i128) -> String {
    match number {
        0..=9999 => format!("{number:04}"),
        _ => format!("{number:+05}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(unit: TimeUnit, ticks: i64) -> String {
        match moment(ticks, TimeStep::of(unit)) {
            Value::Date(text) | Value::DateTime(text) => text,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn moments_are_written_as_python_writes_them() {
        for (unit, ticks, text) in [
            (TimeUnit::Day, 0, "1970-01-01"),
            (TimeUnit::Day, 11_016, "2000-02-29"),
            (TimeUnit::Day, -719_162, "0001-01-01"),
            (TimeUnit::Day, -1, "1969-12-31"),
            (TimeUnit::Week, 1, "1970-01-08"),
            (TimeUnit::Month, -1, "1969-12-01"),
            (TimeUnit::Year, 8030, "+10000-01-01"),
            (TimeUnit::Year, -1971, "-0001-01-01"),
            (TimeUnit::Hour, 25, "1970-01-02T01:00:00"),
            (TimeUnit::Second, -1, "1969-12-31T23:59:59"),
            (TimeUnit::Millisecond, 1_500, "1970-01-01T00:00:01.500000"),
            (TimeUnit::Microsecond, 1_000_000, "1970-01-01T00:00:01"),
            (TimeUnit::Nanosecond, 1, "1970-01-01T00:00:00.000000001"),
            (
                TimeUnit::Attosecond,
                -1,
                "1969-12-31T23:59:59.999999999999999999",
            ),
        ] {
            assert_eq!(moments(unit, ticks), text);
        }
        assert_eq!(moment(i64::MIN, TimeStep::of(TimeUnit::Day)), Value::Null);
        for unit in [TimeUnit::Year, TimeUnit::Week, TimeUnit::Second] {
            let step = TimeStep::new(unit, i32::MAX as u32).unwrap();
            assert!(!matches!(moment(i64::MAX, step), Value::Null));
        }
    }

    #[test]
    fn spans_are_durations_where_they_are_whole_microseconds() {
        let spans = |unit, ticks| span(ticks, TimeStep::of(unit));
        assert_eq!(spans(TimeUnit::Week, 1), Value::Duration(604_800_000_000));
        assert_eq!(spans(TimeUnit::Millisecond, -2), Value::Duration(-2000));
        assert_eq!(spans(TimeUnit::Nanosecond, 3000), Value::Duration(3));
        assert_eq!(spans(TimeUnit::Nanosecond, 1), "1 nanoseconds".into());
        assert_eq!(spans(TimeUnit::Month, 2), "2 months".into());
        assert_eq!(spans(TimeUnit::Generic, 2), Value::Int(2));
        assert_eq!(spans(TimeUnit::Second, i64::MIN), Value::Null);
        let far = format!("{} days", i64::MAX);
        assert_eq!(spans(TimeUnit::Day, i64::MAX), far.as_str().into());
    }
}
