//! The deadline of a client's request.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tonic::Request;

use super::status::{Fault, invalid};

/// Longest accepted time limit; longer ones are shortened to it.
const MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The time at which the client stops waiting, computed when the request arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub(super) Instant);

/// Reads the deadline from the headers of a request that arrives now.
///
/// # Errors
/// `grpc-timeout` is malformed.
pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<Deadline>, Fault> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let timeout = value.to_str().ok().and_then(parse);
    let timeout = timeout.ok_or_else(|| invalid("the header `grpc-timeout` is malformed"))?;
    Ok(Some(Deadline(Instant::now() + timeout.min(MAX))))
}

/// Returns the deadline of a request.
pub(super) fn of<T>(request: &Request<T>) -> Option<Instant> {
    request.extensions().get::<Deadline>().map(|it| it.0)
}

/// Returns the earlier one of a deadline and a time limit in microseconds from now; a limit of 0 is
/// none.
pub(super) fn earlier(deadline: Option<Instant>, timeout_us: u64) -> Option<Instant> {
    if timeout_us == 0 {
        return deadline;
    }
    let own = Instant::now() + Duration::from_micros(timeout_us).min(MAX);
    Some(deadline.map_or(own, |deadline| deadline.min(own)))
}

/// Parses at most 8 digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_digits_and_a_unit() {
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        for bad in [
            "",
            "S",
            "5",
            "5s",
            "-5S",
            "+5S",
            "123456789n",
            "5 S",
            "5ä",
            "ä",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_deadline_counts() {
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(earlier(Some(soon), 0), Some(soon));
        assert_eq!(earlier(Some(soon), 10_000), Some(soon));
        assert_eq!(earlier(None, 5_000), Some(soon));
        assert_eq!(earlier(None, u64::MAX), Some(Instant::now() + MAX));
        assert_eq!(earlier(None, 0), None);
    }
}
