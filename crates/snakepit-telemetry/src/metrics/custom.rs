//! Instruments of worker code, limited in number and in label sets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use snakepit_core::events::record::{Attribute, Instrument, Measurement};
use snakepit_core::printable::Printable;

use super::desc::{Desc, Family, Kind, Labels, Point, Value};
use super::histogram::{ANY, Example, Histogram, SECONDS};
use super::{OVERFLOW, label, lock};
use crate::redact::Redaction;

/// Largest number of instruments.
const INSTRUMENTS: usize = 200;

/// Longest label value, description or unit, in bytes.
const LONGEST: usize = 256;

/// Approximate size on a page of all points of all instruments, in bytes. Beyond it, new label sets
/// are counted as one for each instrument: measurements of workers must not fill the memory of this
/// process or of a reader of the page.
const PAGE: usize = 16 << 20;

/// First words of names that worker code cannot use: those of the host's own metrics, and of
/// Prometheus's own series.
const RESERVED: [&str; 6] = ["snakepit", "process", "rpc", "up", "scrape", "alerts"];

/// Approximate size of a line without its name and labels, in bytes.
const LINE: usize = 32;

/// The reason a measurement was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are too many instruments.
    Instruments,
    /// The instrument is of another kind.
    Kind,
    /// The instrument cannot take this value.
    Value,
}

impl Refused {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Instruments => "too_many_instruments",
            Self::Kind => "other_kind",
            Self::Value => "invalid_value",
        }
    }
}

/// The instruments by name.
#[derive(Debug)]
pub(super) struct Custom {
    instruments: Mutex<Instruments>,
    largest: usize,
}

#[derive(Debug)]
struct Instruments {
    metrics: BTreeMap<Arc<str>, Metric>,
    /// Remaining part of [`PAGE`], in bytes.
    room: usize,
}

#[derive(Debug)]
struct Metric {
    desc: Desc,
    points: BTreeMap<Labels, Value>,
}

impl Custom {
    /// Creates an empty set, with at most `largest` sets of labels for each instrument.
    pub(super) fn new(largest: usize) -> Self {
        let instruments = Mutex::new(Instruments {
            metrics: BTreeMap::new(),
            room: PAGE,
        });
        Self {
            instruments,
            largest,
        }
    }

    /// Records a measurement.
    pub(super) fn measure(
        &self,
        measured: &Measurement,
        redaction: &Redaction,
    ) -> Result<(), Refused> {
        let kind = match measured.instrument {
            Instrument::Counter => Kind::Counter,
            Instrument::Gauge => Kind::Gauge,
            _ => Kind::Histogram,
        };
        let value = measured.value;
        if !value.is_finite() || kind == Kind::Counter && value < 0.0 {
            return Err(Refused::Value);
        }
        let name = own_name(&measured.name);
        let labels = labels(measured, redaction);
        let mut instruments = lock(&self.instruments);
        let Instruments { metrics, room } = &mut *instruments;
        if !metrics.contains_key(&*name) {
            if metrics.len() >= INSTRUMENTS {
                return Err(Refused::Instruments);
            }
            let desc = describe(&name, measured, kind);
            let points = BTreeMap::new();
            metrics.insert((*name).into(), Metric { desc, points });
        }
        let metric = metrics.get_mut(&*name).expect("it was just inserted");
        if metric.desc.kind != kind {
            return Err(Refused::Kind);
        }
        let bounds = if metric.desc.unit == "s" {
            SECONDS
        } else {
            ANY
        };
        let mut labels = labels;
        if !metric.points.contains_key(&labels) {
            let lines = match kind {
                Kind::Histogram => bounds.len() + 3,
                _ => 1,
            };
            let left = room.checked_sub(lines * line(&name, &labels));
            match left.filter(|_| metric.points.len() < self.largest) {
                Some(left) => *room = left,
                None => labels = overflow(),
            }
        }
        let point = metric.points.entry(labels).or_insert_with(|| match kind {
            Kind::Histogram => Value::Histogram(Box::new(Histogram::new(bounds))),
            _ => Value::Number(0.0),
        });
        match (point, kind) {
            (Value::Number(sum), Kind::Counter) => *sum += value,
            (Value::Number(last), _) => *last = value,
            (Value::Histogram(histogram), _) => {
                histogram.observe(value, Example::now(measured.trace));
            }
        }
        Ok(())
    }

    /// Appends all instruments.
    pub(super) fn families(&self, families: &mut Vec<Family>) {
        for metric in lock(&self.instruments).metrics.values() {
            let points = metric.points.iter().map(|(labels, value)| Point {
                labels: labels.clone(),
                value: value.clone(),
            });
            families.push(Family {
                desc: metric.desc.clone(),
                points: points.collect(),
            });
        }
    }
}

/// Returns the name of an instrument. A name that could be mistaken for one of the host's, ignoring
/// case, gets the prefix `python.`.
fn own_name(name: &str) -> Cow<'_, str> {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let first = words.next().unwrap_or_default();
    if RESERVED.iter().any(|word| first.eq_ignore_ascii_case(word)) {
        Cow::Owned(format!("python.{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

fn describe(name: &str, measured: &Measurement, kind: Kind) -> Desc {
    let text = |text: &str| Cow::Owned(shortened(text).to_owned());
    Desc {
        name: text(name),
        help: text(&measured.description),
        unit: text(&measured.unit),
        kind,
        custom: true,
    }
}

/// Returns the sorted labels: the pool and the attributes. Calls and workers are not labels,
/// because there are too many.
fn labels(measured: &Measurement, redaction: &Redaction) -> Labels {
    let mut labels = vec![label("pool", measured.origin.pool.as_str())];
    for (name, value) in &measured.attributes {
        let text: Arc<str> = match (redaction.hidden(name, value), value) {
            (Some(hidden), _) => hidden.into(),
            (None, Attribute::Text(text)) => shortened(&Printable(text).to_text()).into(),
            (None, Attribute::Bool(value)) => value.to_string().into(),
            (None, Attribute::Integer(value)) => value.to_string().into(),
            (None, Attribute::Float(value)) => value.to_string().into(),
            _ => continue,
        };
        if labels.iter().all(|(known, _)| known != name) {
            labels.push((name.clone(), text));
        }
    }
    labels.sort();
    labels
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Returns the approximate size of a line on a page in bytes.
fn line(name: &str, labels: &Labels) -> usize {
    let labels = labels
        .iter()
        .map(|(name, text)| name.len() + text.len() + 4);
    LINE + name.len() + labels.sum::<usize>()
}

/// Returns the label set that stands for all sets above the limit, as OpenTelemetry's specification
/// defines it.
fn overflow() -> Labels {
    vec![
        label("otel.metric.overflow", "true"),
        label("pool", OVERFLOW),
    ]
}

#[cfg(test)]
mod tests {
    use snakepit_core::events::record::Origin;

    use super::*;

    fn measurement(name: &str, instrument: Instrument, user: &str, value: f64) -> Measurement {
        let user = Attribute::Text(user.to_owned().into());
        Measurement {
            name: name.into(),
            instrument,
            unit: "1".into(),
            description: "".into(),
            value,
            attributes: vec![("user".into(), user)],
            trace: None,
            origin: Origin {
                pool: "main".into(),
                worker: snakepit_core::id::WorkerId::new("main-1"),
                call: None,
            },
        }
    }

    fn take(custom: &Custom, measured: &Measurement) -> Result<(), Refused> {
        custom.measure(measured, &Redaction::default())
    }

    #[test]
    fn label_values_without_end_are_summed_in_one_and_none_is_lost() {
        let custom = Custom::new(10);
        for n in 0..1000 {
            let user = format!("user-{n}");
            take(
                &custom,
                &measurement("seen", Instrument::Counter, &user, 2.0),
            )
            .unwrap();
        }
        let mut families = Vec::new();
        custom.families(&mut families);
        let points = &families[0].points;
        let sum = |sum, point: &Point| match point.value {
            Value::Number(number) => sum + number,
            Value::Histogram(_) => sum,
        };
        assert_eq!(points.len(), 11);
        assert_eq!(points.iter().fold(0.0, sum), 2000.0);
    }

    #[test]
    fn labels_of_all_instruments_together_have_a_bound_and_no_value_is_lost() {
        let custom = Custom::new(1000);
        let mut measured = 0.0;
        for set in 0..400 {
            for name in ["a", "b", "c"] {
                let mut one = measurement(name, Instrument::Histogram, &set.to_string(), 1.0);
                let more = (0..8).map(|n| {
                    (
                        format!("n{n}").into(),
                        Attribute::Text("\u{1b}".repeat(1000).into()),
                    )
                });
                one.attributes.extend(more);
                take(&custom, &one).unwrap();
                measured += 1.0;
            }
        }
        let mut families = Vec::new();
        custom.families(&mut families);
        let points = || families.iter().flat_map(|family| &family.points);
        let size = |point: &Point| match &point.value {
            Value::Histogram(histogram) => line("a", &point.labels) * (histogram.counts.len() + 2),
            Value::Number(_) => 0,
        };
        let sum = |point: &Point| match &point.value {
            Value::Histogram(histogram) => histogram.sum,
            Value::Number(_) => 0.0,
        };
        let page: usize = points().map(size).sum();
        assert!(
            (PAGE / 2..PAGE + (64 << 10)).contains(&page),
            "{page} bytes"
        );
        assert_eq!(points().map(sum).sum::<f64>(), measured);
    }

    #[test]
    fn no_instrument_can_be_taken_for_the_hosts_own() {
        for (name, own) in [
            ("snakepit.calls", "python.snakepit.calls"),
            ("SNAKEPIT_calls", "python.SNAKEPIT_calls"),
            ("snakepit", "python.snakepit"),
            ("up", "python.up"),
            ("alerts", "python.alerts"),
            ("process.cpu.time", "python.process.cpu.time"),
            ("uploads", "uploads"),
            ("u", "u"),
        ] {
            assert_eq!(own_name(name), own);
        }
    }

    #[test]
    fn what_an_instrument_cannot_take_is_refused() {
        let custom = Custom::new(10);
        let counter = |value| measurement("seen", Instrument::Counter, "a", value);
        assert_eq!(take(&custom, &counter(1.0)), Ok(()));
        for value in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(take(&custom, &counter(value)), Err(Refused::Value));
        }
        let gauge = measurement("seen", Instrument::Gauge, "a", 1.0);
        assert_eq!(take(&custom, &gauge), Err(Refused::Kind));
        for n in 0..INSTRUMENTS - 1 {
            let one = measurement(&format!("n{n}"), Instrument::Gauge, "a", 1.0);
            assert_eq!(take(&custom, &one), Ok(()));
        }
        let more = measurement("one.more", Instrument::Gauge, "a", 1.0);
        assert_eq!(take(&custom, &more), Err(Refused::Instruments));
        assert_eq!(take(&custom, &counter(1.0)), Ok(()));
    }
}
