//! A trace as a picture: `docs/trace.svg` shows a real run and is written with `UPDATE_DOCS=1`.

use std::fmt::Write as _;
use std::path::Path;

use opentelemetry_proto::tonic::trace::v1::Span;

use super::collector::attribute;

const WIDTH: f64 = 900.0;
const NAMES: f64 = 320.0;
const ROW: f64 = 26.0;

/// Renders the spans. With `UPDATE_DOCS` set, writes the picture; otherwise checks that the
/// existing one has the same spans.
pub(super) fn check(spans: &[Span]) {
    let picture = render(spans);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/trace.svg");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &picture).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap();
    let names = |picture: &str| {
        let names = picture
            .lines()
            .filter(|line| line.contains("class=\"name\""));
        let mut names: Vec<_> = names
            .filter_map(|line| Some(line.split_once('>')?.1.to_owned()))
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names(&there),
        names(&picture),
        "make it again with UPDATE_DOCS=1"
    );
}

fn depth(span: &Span, spans: &[Span]) -> usize {
    let parent = spans
        .iter()
        .find(|other| other.span_id == span.parent_span_id);
    parent.map_or(0, |parent| 1 + depth(parent, spans))
}

/// Orders the spans so that each follows its parent.
fn order<'a>(parent: &[u8], spans: &'a [Span], out: &mut Vec<&'a Span>) {
    for span in spans.iter().filter(|span| span.parent_span_id == parent) {
        out.push(span);
        order(&span.span_id, spans, out);
    }
}

fn render(spans: &[Span]) -> String {
    let mut rows = Vec::new();
    order(&[], spans, &mut rows);
    let start = spans
        .iter()
        .map(|span| span.start_time_unix_nano)
        .min()
        .unwrap();
    let end = spans
        .iter()
        .map(|span| span.end_time_unix_nano)
        .max()
        .unwrap();
    let at = |nanos: u64| {
        let part = (nanos - start) as f64 / (end - start).max(1) as f64;
        NAMES + part * (WIDTH - NAMES - 90.0)
    };
    let height = ROW * rows.len() as f64 + 16.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>One trace: a Rust caller, Python, a host tool in Rust, Python in another pool</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (row, span) in rows.iter().enumerate() {
        let top = 8.0 + ROW * row as f64;
        let (from, to) = (at(span.start_time_unix_nano), at(span.end_time_unix_nano));
        let colour = match &*span.name {
            "snakepit.call" | "snakepit.host_tool" => "#c2571a",
            "snakepit.queue" => "#9aa0a6",
            "snakepit.tool" => "#2b6cb0",
            name if name.starts_with("snakepit.") => "#6b7280",
            "checkout" => "#7a4b12",
            _ => "#2f855a",
        };
        let tool = attribute(&span.attributes, "snakepit.tool");
        let pool = attribute(&span.attributes, "snakepit.pool");
        let what = match (tool, pool) {
            (Some(tool), Some(pool)) => format!(" {tool} ({pool})"),
            (Some(tool), None) => format!(" {tool}"),
            _ => String::new(),
        };
        let micros = (span.end_time_unix_nano - span.start_time_unix_nano) / 1000;
        let indent = 8.0 + 14.0 * depth(span, spans) as f64;
        let (text, width) = (top + 17.0, (to - from).max(1.5));
        let _ = writeln!(
            out,
            "<text class=\"name\" x=\"{indent}\" y=\"{text}\" fill=\"#1a202c\">{}{what}</text>\n\
             <rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"16\" rx=\"2\" fill=\"{colour}\"/>\n\
             <text x=\"{:.1}\" y=\"{text}\" fill=\"#4a5568\">{micros} µs</text>",
            span.name,
            top + 4.0,
            to.max(from + 1.5) + 6.0
        );
    }
    out.push_str("</svg>\n");
    out
}
