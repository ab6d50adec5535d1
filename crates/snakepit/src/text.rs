//! Texts for and from people: durations, sizes, similar names, shortened texts.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// Parses a duration: `1.5s`, `250ms`, `2m`, `1h 30m`, `1d`, or a bare number of seconds. The units
/// are those of the crate `humantime`.
///
/// # Errors
/// A lower-case phrase that states the problem.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write for example 250ms, 1.5s, 2m or 1d");
    let (number, unit) = split_unit(text);
    let unit = match unit {
        "" => "s",
        "µs" => "us",
        unit => unit,
    };
    humantime::parse_duration(&format!("{number}{unit}")).map_err(|_| wrong())
}

/// Converts a number of seconds to a duration.
#[cfg(feature = "config")]
pub(crate) fn seconds(number: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number)
        .map_err(|_| format!("{number} seconds is not a duration: it is negative or out of range"))
}

/// Parses a size in bytes: `64MiB`, `512KiB`, `1GiB`, `10MB`, or a bare number of bytes.
///
/// # Errors
/// A lower-case phrase that states the problem.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let wrong =
        || format!("`{text}` is not a size; write for example 512KiB, 64MiB or a number of bytes");
    let (number, unit) = split_unit(text);
    let scale: usize = match unit {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(scale)
        .ok_or_else(|| format!("`{text}` is too large"))
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+'))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// Longest name in bytes that is compared: the work is the product of both lengths.
const COMPARED: usize = 256;

/// Returns the known name most similar to `name`. `None` if none is similar.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known
        .into_iter()
        .filter(|candidate| candidate.len() <= COMPARED)
        .collect();
    let near = snakepit_core::value::similar_names(name, known.iter().copied());
    let near = near.first()?;
    known.into_iter().find(|candidate| candidate == near)
}

/// Returns at most `limit` characters of a text, followed by `…` if there are more. Formatting
/// stops there.
pub(crate) fn shortened(text: &(impl fmt::Display + ?Sized), limit: usize) -> String {
    /// Accepts a number of characters and then fails.
    struct Shortened {
        text: String,
        left: usize,
    }
    impl fmt::Write for Shortened {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if let Some((end, _)) = text.char_indices().nth(self.left) {
                self.text.push_str(&text[..end]);
                self.text.push('…');
                return Err(fmt::Error);
            }
            self.text.push_str(text);
            self.left -= text.chars().count();
            Ok(())
        }
    }
    let mut out = Shortened {
        text: String::new(),
        left: limit,
    };
    // An error means that the limit is reached.
    let _ = write!(out, "{text}");
    out.text
}

#[cfg(test)]
mod tests {

    use super::{nearest, parse_duration, parse_size, shortened};

    #[test]
    fn durations() {
        for (text, millis) in [
            ("1.5s", 1500),
            ("250ms", 250),
            ("2m", 120_000),
            ("3", 3000),
            ("0.1 s", 100),
            ("5 sec", 5000),
            ("1d", 86_400_000),
            ("1.5 days", 129_600_000),
            ("1h 30m", 5_400_000),
            ("2 weeks", 1_209_600_000),
            ("1500 us", 1),
        ] {
            assert_eq!(
                parse_duration(text).map(|it| it.as_millis()),
                Ok(millis),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "-1s",
            "1 parsec",
            "1e999s",
            "1.2.3s",
            "1 2",
            "99999999999999999999999h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1 KiB", 1024),
            ("10", 10),
            ("2MB", 2_000_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "1.5MiB",
            "9 apples",
            "99999999999999999999",
            "18446744073709551615GiB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nearest_names() {
        let known = ["workers", "queue_limit", "adapter"];
        assert_eq!(nearest("worker", known), Some("workers"));
        assert_eq!(nearest("adpater", known), Some("adapter"));
        assert_eq!(nearest("zzzzzz", known), None);
        let long = "w".repeat(1_000_000);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüx", 3), "äöü…");
    }
}
