//! Figures formatted for people.

/// Formats bytes with three digits: `13.2 MiB`.
pub(crate) fn amount(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", digits(value), UNITS[unit])
}

/// Formats seconds: `40 ms`, `4 s`, `6 min`, `3 h`, `2 d`.
pub(crate) fn seconds(seconds: f64) -> String {
    let seconds = if seconds.is_finite() {
        seconds.max(0.0)
    } else {
        0.0
    };
    match seconds {
        ..0.9995 => micros(seconds * 1e6),
        ..10.0 => format!("{} s", trimmed(seconds)),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

/// Formats microseconds: `12 µs`, `1.50 ms`, `3 s`.
pub(crate) fn micros(micros: f64) -> String {
    match micros {
        ..999.5 => format!("{micros:.0} µs"),
        ..999_500.0 => format!("{} ms", digits(micros / 1e3)),
        _ => seconds(micros / 1e6),
    }
}

/// Formats a percentage: `85 %`, `0.5 %`.
pub(crate) fn percent(percent: f64) -> String {
    if percent == 0.0 || percent >= 1.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// Formats a number of things: `1 worker`, `3 workers`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

/// Formats a value with at most three digits.
fn digits(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Formats a value with one decimal place, which is left out if it is 0.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0")
        .map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_their_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (13 << 20, "13.0 MiB"),
            (13_631_488 + 200_000, "13.2 MiB"),
            (1000 << 20, "0.98 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(amount(bytes), text);
        }
        for (value, text) in [
            (0.0, "0 µs"),
            (0.04, "40.0 ms"),
            (0.9999, "1 s"),
            (4.0, "4 s"),
            (4.26, "4.3 s"),
            (60.0, "60 s"),
            (360.0, "6 min"),
            (3.0 * 3600.0, "3 h"),
            (1e6, "12 d"),
            (-1.0, "0 µs"),
            (f64::NAN, "0 µs"),
        ] {
            assert_eq!(seconds(value), text, "{value}");
        }
        assert_eq!(micros(1500.0), "1.50 ms");
        assert_eq!(micros(3e6), "3 s");
        let percents = [0.0, 0.5, 85.2, 100.0].map(percent);
        assert_eq!(percents, ["0 %", "0.5 %", "85 %", "100 %"]);
        assert_eq!(count(1, "slot is", "slots are"), "1 slot is");
        assert_eq!(count(0, "slot is", "slots are"), "0 slots are");
    }
}
