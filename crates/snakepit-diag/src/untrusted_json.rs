//! JSON that a host or a file claims to be a document of ours: its objects are counted before they
//! take memory.

use serde::Deserialize;
use serde::de::Error as _;

/// Smallest average size in bytes of an object in a report.
pub(crate) const REPORT: usize = 64;

/// Objects that a document of any size may have.
const FEW: usize = 1000;

/// Reads a document that has at most one object for each `bytes_per_object` bytes, and a few more.
/// An object of two bytes would become a hundred times as large.
///
/// # Errors
/// The text is malformed, or has more objects.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    text: &'a [u8],
    bytes_per_object: usize,
) -> serde_json::Result<T> {
    let most = FEW + text.len() / bytes_per_object;
    if objects(text) > most {
        return Err(serde_json::Error::custom(format!(
            "it has more than {most} objects in {} bytes",
            text.len()
        )));
    }
    serde_json::from_slice(text)
}

/// Counts the objects outside of strings.
fn objects(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Report;

    #[test]
    fn objects_are_counted_where_they_are_some() {
        for (text, count) in [
            (r#"{"a":{"b":"{{{"},"c":"\"{"}"#, 2),
            (r#"[{},{},"\\",{}]"#, 3),
            ("{", 1),
            ("", 0),
        ] {
            assert_eq!(objects(text.as_bytes()), count, "{text}");
        }
    }

    #[test]
    fn a_document_of_nothing_but_objects_is_refused_before_they_are_made() {
        let document = |pools: usize| format!(r#"{{"pools":[{}]}}"#, vec!["{}"; pools].join(","));
        let few = read::<Report>(document(100).as_bytes(), REPORT).unwrap();
        assert_eq!(few.pools.len(), 100);
        let error = read::<Report>(document(100_000).as_bytes(), REPORT).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
        // A report of a large pool, as a host sends it.
        let pool = crate::PoolReport {
            workers: vec![crate::WorkerReport::default(); 20_000],
            ..Default::default()
        };
        let report = Report::of([pool]);
        let text = serde_json::to_vec(&report).unwrap();
        assert_eq!(read::<Report>(&text, REPORT).unwrap().pools, report.pools);
    }
}
