//! Comparison of versions of Python packages by the numbers of the release.

use std::cmp::Ordering;

/// Returns the numbers of a version such as `2.1.0`, `1.26.4+cu121` or `2.0rc1`. Empty if it has
/// none.
fn numbers(version: &str) -> Vec<u64> {
    let version = version.trim();
    let version = version.strip_prefix('v').unwrap_or(version);
    // An epoch comes first, a local version last.
    let version = version
        .split_once('!')
        .map_or(version, |(_, release)| release);
    let mut out = Vec::new();
    for part in version.split('.') {
        let digits: &str = part
            .find(|c: char| !c.is_ascii_digit())
            .map_or(part, |end| &part[..end]);
        let Ok(number) = digits.parse() else { break };
        out.push(number);
        if digits.len() < part.len() {
            break;
        }
    }
    out
}

/// Returns whether `version` is at least `minimum`. `None` if one of them is not a version. A
/// pre-release counts as its release.
pub(crate) fn at_least(version: &str, minimum: &str) -> Option<bool> {
    let (mut version, mut minimum) = (numbers(version), numbers(minimum));
    if version.is_empty() || minimum.is_empty() {
        return None;
    }
    let length = version.len().max(minimum.len());
    version.resize(length, 0);
    minimum.resize(length, 0);
    Some(version.cmp(&minimum) != Ordering::Less)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, minimum, expected) in [
            ("1.20", "1.20.0", Some(true)),
            ("1.9", "1.20", Some(false)),
            ("2.1.0rc1", "2.1.0", Some(true)),
            ("1.26.4+cu121", "1.26.4", Some(true)),
            ("1!2.0", "1.9", Some(true)),
            ("v4.5", "4.5.1", Some(false)),
            ("2024b", "2024", Some(true)),
            ("unknown", "1", None),
            ("1", "", None),
        ] {
            assert_eq!(at_least(version, minimum), expected, "{version} {minimum}");
        }
    }
}
