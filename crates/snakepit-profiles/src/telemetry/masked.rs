//! Records of a worker's code without its secrets.

use std::borrow::Cow;
use std::sync::Arc;

use snakepit_core::events::CustomEvent;
use snakepit_core::events::record::{Attribute, Attributes, Log, Measurement, Span, Text};
use snakepit_core::printable::Printable;
use snakepit_grpc::link::Mask as _;
use snakepit_grpc::records::Record;
use snakepit_redact::KeyLines;

use crate::masking::Secrets;

/// Masks the secrets in all texts and names of a record. A private key may span several log
/// records.
pub(super) fn mask(record: &mut Record, secrets: &Secrets, keys: &mut KeyLines) {
    match record {
        Record::Event(event) => mask_event(event, secrets),
        Record::Span(span) => mask_span(span, secrets),
        Record::Log(log) => mask_log(log, secrets, keys),
        Record::Measurement(measurement) => mask_measurement(measurement, secrets),
        _ => {}
    }
}

fn mask_event(event: &mut CustomEvent, secrets: &Secrets) {
    name(&mut event.name, secrets);
    let measurements = std::mem::take(&mut event.measurements).into_iter();
    event.measurements = measurements
        .map(|(mut key, number)| {
            name(&mut key, secrets);
            (key, number)
        })
        .collect();
    let metadata = std::mem::take(&mut event.metadata).into_iter();
    event.metadata = metadata
        .map(|(mut key, mut value)| {
            name(&mut key, secrets);
            text(&mut value, secrets);
            (key, value)
        })
        .collect();
}

fn mask_span(span: &mut Span, secrets: &Secrets) {
    static_name(&mut span.name, secrets);
    attributes(&mut span.attributes, secrets);
    for event in &mut span.events {
        static_name(&mut event.name, secrets);
        attributes(&mut event.attributes, secrets);
    }
    if let Some(error) = &mut span.error {
        secrets.text(error.to_mut());
    }
}

fn mask_log(log: &mut Log, secrets: &Secrets, keys: &mut KeyLines) {
    for text in [Some(&mut log.message), log.exception.as_mut()]
        .into_iter()
        .flatten()
    {
        if let Some(masked) = keys.mask_lines(text) {
            *text = masked;
        }
        secrets.redact(text);
    }
    text(&mut log.logger, secrets);
    if let Cow::Owned(printable) = Printable(&log.logger).to_text() {
        log.logger = printable.into();
    }
    attributes(&mut log.attributes, secrets);
}

/// Masks the secrets in all texts and names of a measurement.
pub(super) fn mask_measurement(measurement: &mut Measurement, secrets: &Secrets) {
    name(&mut measurement.name, secrets);
    text(&mut measurement.unit, secrets);
    text(&mut measurement.description, secrets);
    attributes(&mut measurement.attributes, secrets);
}

fn attributes(attributes: &mut Attributes, secrets: &Secrets) {
    for (name, value) in attributes {
        static_name(name, secrets);
        if let Attribute::Text(Text::Shared(value)) = value {
            text(value, secrets);
        }
    }
}

fn text(text: &mut Arc<str>, secrets: &Secrets) {
    if let Cow::Owned(masked) = secrets.0.mask(text) {
        *text = masked.into();
    }
}

fn name(name: &mut Arc<str>, secrets: &Secrets) {
    if let Some(masked) = secrets.label(name) {
        *name = masked.into();
    }
}

fn static_name(name: &mut Cow<'static, str>, secrets: &Secrets) {
    if let Some(masked) = secrets.label(name) {
        *name = Cow::Owned(masked);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use snakepit_core::events::TraceContext;
    use snakepit_core::events::record::{Instrument, Origin, SpanEvent, SpanKind};

    use super::*;

    const SECRET: &str = "correcthorse";

    fn attributes() -> Attributes {
        let (name, text) = (format!("of {SECRET}"), format!("is {SECRET}"));
        vec![(name.into(), Attribute::Text(text.into()))]
    }

    fn origin() -> Origin {
        Origin {
            pool: "main".into(),
            worker: "main-1".into(),
            call: None,
        }
    }

    fn records() -> [Record; 4] {
        let at = SystemTime::UNIX_EPOCH;
        let mut event = CustomEvent::new(format!("tool.{SECRET}"));
        let number = snakepit_core::events::Number::Integer(1);
        event
            .measurements
            .insert(format!("n {SECRET}").into(), number);
        let entry = (format!("of {SECRET}"), format!("is {SECRET}"));
        event.metadata.insert(entry.0.into(), entry.1.into());
        let span = Span {
            context: TraceContext::start(true),
            parent: None,
            state: Default::default(),
            name: format!("span {SECRET}").into(),
            kind: SpanKind::Internal,
            start: at,
            end: at,
            attributes: attributes(),
            events: vec![SpanEvent {
                name: format!("moment {SECRET}").into(),
                at,
                attributes: attributes(),
            }],
            error: Some(format!("SP3001: {SECRET}").into()),
        };
        let log = Log {
            at,
            level: tracing::Level::INFO,
            logger: format!("app.{SECRET}").into(),
            message: format!("said {SECRET}"),
            exception: Some(format!("raised {SECRET}")),
            attributes: attributes(),
            trace: None,
            origin: origin(),
        };
        let measurement = Measurement {
            name: format!("count {SECRET}").into(),
            instrument: Instrument::Counter,
            unit: SECRET.into(),
            description: format!("of {SECRET}").into(),
            value: 1.0,
            attributes: attributes(),
            trace: None,
            origin: origin(),
        };
        [
            Record::Event(event),
            Record::Span(span),
            Record::Log(log),
            Record::Measurement(measurement),
        ]
    }

    #[test]
    fn no_name_and_no_text_of_a_record_shows_a_secret() {
        let secrets = Secrets::default();
        secrets.0.add(SECRET).expect("it has room");
        for (mut record, masks) in records().into_iter().zip([4, 7, 5, 5]) {
            mask(&mut record, &secrets, &mut KeyLines::default());
            let shown = format!("{record:?}");
            assert!(!shown.contains(SECRET), "{shown}");
            assert_eq!(shown.matches("redacted").count(), masks, "{shown}");
        }
    }
}
