//! Profiles as flame graphs.

use std::io;

use inferno::flamegraph::{Options, from_lines};
use snakepit_core::worker::profiling::ProfileReport;

/// Draws a profile as a self-contained SVG document that a browser can search and zoom.
///
/// # Errors
/// The profile has no stacks ([`io::ErrorKind::InvalidData`]).
pub fn flame_graph(report: &ProfileReport, title: &str) -> io::Result<String> {
    let collapsed = report.collapsed();
    if collapsed.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the profile has no stacks",
        ));
    }
    let mut options = Options::default();
    title.clone_into(&mut options.title);
    "samples".clone_into(&mut options.count_name);
    options.hash = true;
    let mut svg = Vec::new();
    from_lines(&mut options, collapsed.lines(), &mut svg)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    String::from_utf8(svg).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_workers_are_text_in_the_drawing() {
        let report: ProfileReport = serde_json::from_value(serde_json::json!({
            "hz": 100,
            "frames": [
                { "function": "<script>alert(1)</script>", "file": "a\"b&c.py", "line": 3 },
            ],
            "threads": [{ "worker": "main-1", "name": "Main]]>Thread" }],
            "stacks": [{ "thread": 0, "frames": [0], "count": 5 }],
        }))
        .unwrap();
        let svg = flame_graph(&report, "a < b").unwrap();
        assert!(
            svg.contains("a &lt; b") && svg.contains("&lt;script&gt;alert(1)"),
            "{svg}"
        );
        assert!(!svg.contains("<script>alert"), "{svg}");
        let empty = flame_graph(&ProfileReport::default(), "nothing").unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::InvalidData);
    }
}
