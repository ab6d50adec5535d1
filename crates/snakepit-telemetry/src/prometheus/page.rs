//! Metrics as text: OpenMetrics 1.0, or Prometheus's older format for clients that request it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use snakepit_core::printable::Printable;

use crate::metrics::{Desc, Exemplar, Family, Histogram, Kind, Labels, Value};

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0, with exemplars.
    OpenMetrics,
    /// Prometheus's text format 0.0.4, without exemplars.
    Plain,
}

/// A page while it is being written.
struct Page {
    text: String,
    format: Format,
    /// Names of families and of their samples, because a repeated name makes a page invalid.
    names: HashSet<String>,
}

/// Writes all families. Also returns the names of the families that were omitted because others
/// have the same names.
pub(super) fn write(families: &[Family], format: Format) -> (String, Vec<String>) {
    let mut page = Page {
        text: String::new(),
        format,
        names: HashSet::new(),
    };
    let mut left_out = Vec::new();
    for family in families {
        if !page.family(family) {
            left_out.push(family.desc.name.to_string());
        }
    }
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    (page.text, left_out)
}

impl Page {
    fn family(&mut self, family: &Family) -> bool {
        let desc = &family.desc;
        let name = name(desc);
        let suffixes: &[&str] = match desc.kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
        };
        let own: Vec<_> = suffixes.iter().map(|end| format!("{name}{end}")).collect();
        if own.iter().any(|name| self.names.contains(name)) {
            return false;
        }
        self.names.extend(own);
        let kind = match desc.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // In the older format a counter has the name of its sample.
        let plain_total = self.format == Format::Plain && desc.kind == Kind::Counter;
        let head = if plain_total { "_total" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# TYPE {name}{head} {kind}");
        if let Some(unit) = unit(desc).filter(|_| self.format == Format::OpenMetrics) {
            let _ = writeln!(self.text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {name}{head} {}", escaped(&desc.help));
        let mut seen = HashSet::new();
        for point in &family.points {
            let labels = labels(&point.labels);
            // Label names may become equal in Prometheus's character set, and a repeated set makes
            // a page invalid.
            if desc.custom && !seen.insert(labels.clone()) {
                continue;
            }
            match (&point.value, desc.kind) {
                (Value::Number(value), Kind::Counter) => {
                    self.sample(&name, "_total", &labels, *value, None);
                }
                (Value::Number(value), _) => self.sample(&name, "", &labels, *value, None),
                (Value::Histogram(histogram), _) => self.histogram(&name, &labels, histogram),
            }
        }
        true
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let mut below = 0;
        for (bucket, count) in histogram.counts.iter().enumerate() {
            below += count;
            let bound = match histogram.bounds.get(bucket) {
                Some(bound) => number(*bound),
                None => "+Inf".to_owned(),
            };
            let comma = if labels.is_empty() { "" } else { "," };
            let labels = format!("{labels}{comma}le=\"{bound}\"");
            let exemplar = histogram.exemplars[bucket].as_ref();
            self.sample(name, "_bucket", &labels, below as f64, exemplar);
        }
        self.sample(name, "_count", labels, below as f64, None);
        self.sample(name, "_sum", labels, histogram.sum, None);
    }

    fn sample(
        &mut self,
        name: &str,
        end: &str,
        labels: &str,
        value: f64,
        exemplar: Option<&Exemplar>,
    ) {
        self.text.push_str(name);
        self.text.push_str(end);
        if !labels.is_empty() {
            let _ = write!(self.text, "{{{labels}}}");
        }
        self.text.push(' ');
        self.text.push_str(&number(value));
        if let Some(one) = exemplar.filter(|_| self.format == Format::OpenMetrics) {
            let trace = u128::from_be_bytes(one.trace.trace_id());
            let span = u64::from_be_bytes(one.trace.span_id());
            let at = one.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let _ = write!(
                self.text,
                " # {{trace_id=\"{trace:032x}\",span_id=\"{span:016x}\"}} {} {}.{:03}",
                number(one.value),
                at.as_secs(),
                at.subsec_millis()
            );
        }
        self.text.push('\n');
    }
}

/// Returns the name in Prometheus, with the unit appended. A name of worker code that begins with a
/// digit gets the prefix `python_`.
fn name(desc: &Desc) -> String {
    let mut name: String = desc
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if desc.custom && name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "python_");
    }
    if desc.kind == Kind::Counter
        && let Some(short) = name.strip_suffix("_total")
    {
        name.truncate(short.len());
    }
    if let Some(unit) = unit(desc)
        && !name.ends_with(&format!("_{unit}"))
    {
        name = format!("{name}_{unit}");
    }
    name
}

/// Returns Prometheus's name of the unit. `None` for counts of things, whose unit is not appended.
fn unit(desc: &Desc) -> Option<&'static str> {
    match &*desc.unit {
        "s" => Some("seconds"),
        "ms" => Some("milliseconds"),
        "us" => Some("microseconds"),
        "By" => Some("bytes"),
        "%" => Some("percent"),
        _ => None,
    }
}

fn labels(labels: &Labels) -> String {
    let mut names = HashSet::new();
    let mut text = String::new();
    for (name, value) in labels {
        let mut name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) || name.starts_with("__") {
            name.insert(0, 'x');
        }
        if name == "le" || name == "quantile" {
            name.insert_str(0, "exported_");
        }
        if name.is_empty() || !names.insert(name.clone()) {
            continue;
        }
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{name}=\"{}\"", escaped(value));
    }
    text
}

fn escaped(text: &str) -> String {
    let printable = Printable(text).to_text();
    printable.replace('\\', "\\\\").replace('"', "\\\"")
}

fn number(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    if value == f64::NEG_INFINITY {
        return "-Inf".to_owned();
    }
    if value.is_nan() {
        return "NaN".to_owned();
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Point;

    fn family(name: &'static str, kind: Kind, value: Value) -> Family {
        let labels = vec![
            ("pool".into(), "main".into()),
            ("a.b".into(), "x\"\\\n\u{1b}".into()),
            ("a_b".into(), "twice".into()),
        ];
        Family {
            desc: Desc {
                name: name.into(),
                help: "Things".into(),
                unit: "s".into(),
                kind,
                custom: true,
            },
            points: vec![Point { labels, value }],
        }
    }

    #[test]
    fn a_page_is_as_the_format_asks() {
        let families = [family("work.time", Kind::Counter, Value::Number(1.5))];
        let (page, left_out) = write(&families, Format::OpenMetrics);
        let expected = concat!(
            "# TYPE work_time_seconds counter\n",
            "# UNIT work_time_seconds seconds\n",
            "# HELP work_time_seconds Things\n",
            "work_time_seconds_total{pool=\"main\",a_b=\"x\\\"\\\\\\\\n\\\\u{1b}\"} 1.5\n",
            "# EOF\n",
        );
        assert_eq!((page.as_str(), left_out.len()), (expected, 0));
        let (page, _) = write(&families, Format::Plain);
        assert!(page.starts_with("# TYPE work_time_seconds_total counter\n"));
        assert!(!page.contains("EOF") && !page.contains("UNIT"));
    }

    #[test]
    fn a_name_is_on_the_page_once() {
        let number = || Value::Number(1.0);
        let families = [
            family("a.b", Kind::Counter, number()),
            family("a_b", Kind::Gauge, number()),
            family("a_b_seconds_total", Kind::Counter, number()),
            family("c", Kind::Counter, number()),
            family("9", Kind::Counter, number()),
        ];
        let (page, left_out) = write(&families, Format::OpenMetrics);
        assert_eq!(left_out, ["a_b", "a_b_seconds_total"]);
        assert_eq!(page.matches("# TYPE a_b_seconds ").count(), 1);
        assert!(page.contains("# TYPE c_seconds counter"));
        assert!(page.contains("# TYPE python_9_seconds counter"));
    }

    #[test]
    fn a_set_of_labels_is_on_the_page_once() {
        let mut twins = family("a", Kind::Gauge, Value::Number(1.0));
        let mut other = twins.points[0].clone();
        other.labels[1].0 = "a-b".into();
        twins.points.push(other);
        let (page, _) = write(&[twins], Format::OpenMetrics);
        assert_eq!(page.matches("\na_seconds{").count(), 1, "{page}");
    }
}
