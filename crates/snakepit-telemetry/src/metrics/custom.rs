//! Instruments of worker code, bounded in number and in sets of attributes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use snakepit_core::record::{Attribute, Instrument, Measurement};

use super::desc::{Desc, Family, Kind, Labels, Point, Value};
use super::histogram::{ANY, Example, Histogram, SECONDS};
use super::{OVERFLOW, label, lock};
use crate::redact::Redaction;

/// The largest number of instruments.
const INSTRUMENTS: usize = 200;

/// The longest value of a label, in bytes.
const LONGEST: usize = 256;

/// The reason for which a measurement was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are too many instruments.
    Instruments,
    /// The instrument is of another kind.
    Kind,
    /// The value is none that the instrument can take.
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
    families: Mutex<BTreeMap<Arc<str>, Metric>>,
    largest: usize,
}

#[derive(Debug)]
struct Metric {
    desc: Desc,
    points: BTreeMap<Labels, Value>,
}

impl Custom {
    /// Creates none, with at most `largest` sets of labels for each.
    pub(super) fn new(largest: usize) -> Self {
        Self {
            families: Mutex::default(),
            largest,
        }
    }

    /// Takes a measurement.
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
        let labels = labels(measured, redaction);
        let mut families = lock(&self.families);
        if !families.contains_key(&measured.name) {
            if families.len() >= INSTRUMENTS {
                return Err(Refused::Instruments);
            }
            let (desc, points) = (describe(measured, kind), BTreeMap::new());
            families.insert(Arc::clone(&measured.name), Metric { desc, points });
        }
        let metric = families
            .get_mut(&measured.name)
            .expect("it was just inserted");
        if metric.desc.kind != kind {
            return Err(Refused::Kind);
        }
        let full = metric.points.len() >= self.largest && !metric.points.contains_key(&labels);
        let labels = if full { overflow() } else { labels };
        let bounds = if metric.desc.unit == "s" {
            SECONDS
        } else {
            ANY
        };
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
        for metric in lock(&self.families).values() {
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

fn describe(measured: &Measurement, kind: Kind) -> Desc {
    let text = |text: &str| Cow::Owned(text.to_owned());
    Desc {
        name: text(&measured.name),
        help: text(&measured.description),
        unit: text(&measured.unit),
        kind,
        custom: true,
    }
}

/// Labels of the pool and the attributes, sorted. The call and the worker are none: there are too many.
fn labels(measured: &Measurement, redaction: &Redaction) -> Labels {
    let mut labels = vec![label("pool", measured.origin.pool.as_str())];
    for (name, value) in &measured.attributes {
        let text: Arc<str> = match (redaction.hidden(name, value), value) {
            (Some(hidden), _) => hidden.into(),
            (None, Attribute::Text(text)) => shortened(text).into(),
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

/// The set that stands for all sets above the limit, as OpenTelemetry's specification has it.
fn overflow() -> Labels {
    vec![
        label("otel.metric.overflow", "true"),
        label("pool", OVERFLOW),
    ]
}

#[cfg(test)]
mod tests {
    use snakepit_core::record::Origin;

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
                worker: snakepit_core::WorkerId::new("main-1"),
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
