//! Durations as ISO 8601 writes them.

/// Units of ISO 8601: the letter, whether it stands after the `T`, its length in microseconds, and
/// the largest number of digits before and after the decimal point.
const UNITS: [(char, bool, i64, usize, usize); 5] = [
    ('W', false, 604_800_000_000, 6, 8),
    ('D', false, 86_400_000_000, 7, 8),
    ('H', true, 3_600_000_000, 9, 8),
    ('M', true, 60_000_000, 10, 7),
    ('S', true, 1_000_000, 12, 6),
];

/// Returns the microseconds of a duration such as `P1DT2H3.5S` or `-PT1S`. `None` if the text is
/// not a duration, has years or months (whose lengths vary), is finer than a microsecond, or does
/// not fit 64 bits.
pub(super) fn micros(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let mut rest = text.strip_prefix('P')?;
    let (mut total, mut in_time, mut next, mut parts) = (0_i64, false, 0, 0);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            if in_time || time.is_empty() {
                return None;
            }
            (in_time, rest) = (true, time);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',')?;
        let (number, after) = rest.split_at(end);
        let unit = after.chars().next()?;
        // Units appear in this order, each at most once.
        let at = UNITS[next..]
            .iter()
            .position(|(name, time, ..)| *name == unit && *time == in_time)?;
        let (_, _, size, digits, places) = UNITS[next + at];
        next += at + 1;
        parts += 1;
        rest = &after[unit.len_utf8()..];
        let (whole, fraction) = match number.split_once(['.', ',']) {
            // Only the last part may have a fraction.
            Some((whole, fraction)) if rest.is_empty() && !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (number, ""),
        };
        let fraction = fraction.trim_end_matches('0');
        if whole.len() > digits || fraction.len() > places {
            return None;
        }
        // The limits on digits keep the sum an integer of fewer than 64 bits.
        total += whole.parse::<i64>().ok()? * size;
        if !fraction.is_empty() {
            let scale = 10_i64.pow(u32::try_from(fraction.len()).ok()?);
            total += fraction.parse::<i64>().ok()? * (size / scale);
        }
    }
    (parts > 0).then_some(if negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    use super::micros;

    #[test]
    fn durations_are_read_or_refused() {
        for (text, expected) in [
            ("PT0S", 0),
            ("PT1.5S", 1_500_000),
            ("P1DT2H3M4.000005S", 93_784_000_005),
            ("-PT0.000001S", -1),
            ("P2W", 1_209_600_000_000),
            ("PT1,5H", 5_400_000_000),
            ("P0.5D", 43_200_000_000),
            ("PT0.0000010S", 1),
            ("P999999W", 604_799_395_200_000_000),
        ] {
            assert_eq!(micros(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "P",
            "PT",
            "P1DT",
            "1D",
            "P1Y",
            "P1M",
            "PT1D",
            "P1H",
            "PT1S2H",
            "PT1S1S",
            "PT1.5H1S",
            "PT0.0000001S",
            "PT.S",
            "PT-1S",
            "P99999999999D",
            "P1000000W",
            "PT0.000000005H",
            "PT1.1.1S",
            "PT1x",
            "PT1.S",
        ] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}
