//! Exporters that variables of the environment describe.

use std::process::Command;

use snakepit_core::events::record::{Attribute, Recorder, SpanEvent};
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_telemetry::{FlushReport, Telemetry, TelemetryConfig};

use crate::collector::{Collector, Mode, attribute};
use crate::support::{capture, log, logged, measurement, span, text};

/// Sends the records that `put` creates with the exporters that these variables describe.
async fn send(
    variables: &[(&str, &str)],
    put: impl FnOnce(&HostState, &dyn Recorder),
) -> FlushReport {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let config = TelemetryConfig::from_variables(variables.iter().map(own)).unwrap();
    let telemetry = Telemetry::builder()
        .config(config)
        .own_subscriber()
        .start()
        .unwrap();
    let state = HostState::new(HostStateConfig::new()).unwrap();
    telemetry.attach(&state);
    let recorder = state.events().recorder().unwrap();
    put(&state, &**recorder);
    telemetry.shutdown().await
}

/// Creates one record of each signal.
fn one_of_each(state: &HostState, recorder: &dyn Recorder) {
    let one = span(state.events(), Vec::new());
    let context = one.context;
    recorder.span(one);
    recorder.log(&log("careful", Some(context)));
    recorder.measurement(&measurement("tool.time", 0.2, Some(context)));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_signal_is_compressed_and_authorized_as_its_variables_say() {
    let collector = Collector::start(Mode::Take).await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=all"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "authorization=logs"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
    ];
    let report = send(&variables, one_of_each).await;
    assert!(report.complete && report.dropped == 0, "{report:?}");
    let mut all = collector.all();
    assert_eq!((all.spans.len(), all.logs.len()), (1, 1));
    assert!(all.metrics.iter().any(|metric| metric.name == "tool.time"));
    all.encodings.sort();
    let gzip = || Some("gzip".to_owned());
    let expected = [("logs", None), ("metrics", gzip()), ("traces", gzip())];
    assert_eq!(all.encodings, expected);
    all.headers.sort();
    assert_eq!(all.headers, ["all", "all", "logs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_decompress_is_reported() {
    capture();
    let collector = Collector::without_compression().await;
    let endpoint = collector.endpoint();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let report = send(&variables, one_of_each).await;
    assert_eq!((report.exported, report.dropped), (0, 2));
    let warnings = logged(tracing::Level::WARN, collector.address);
    assert!(
        warnings.len() == 1 && warnings[0].contains("`compression`"),
        "{warnings:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_cut_to_the_limits_and_spans_count_what_is_missing() {
    let collector = Collector::start(Mode::Take).await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint()),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
        ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "3"),
    ];
    let report = send(&variables, |state, recorder| {
        let attributes = || {
            vec![
                ("a".into(), text("äöüß")),
                ("b".into(), Attribute::Integer(12345)),
                ("c".into(), text("c")),
            ]
        };
        let mut one = span(state.events(), attributes());
        one.events = ["first", "second"]
            .map(|name| SpanEvent {
                name: name.into(),
                at: one.start,
                attributes: attributes(),
            })
            .into();
        recorder.span(one);
        recorder.log(&log("careful", None));
    })
    .await;
    assert!(report.complete && report.dropped == 0, "{report:?}");
    let all = collector.all();
    let [got] = &all.spans[..] else {
        panic!("one span: {:?}", all.spans);
    };
    assert_eq!((got.attributes.len(), got.dropped_attributes_count), (2, 1));
    assert_eq!(attribute(&got.attributes, "a").as_deref(), Some("äöü"));
    assert_eq!(attribute(&got.attributes, "b").as_deref(), Some("12345"));
    assert_eq!((got.events.len(), got.dropped_events_count), (1, 1));
    let event = &got.events[0];
    assert_eq!((&*event.name, event.dropped_attributes_count), ("first", 1));
    assert_eq!(all.logs[0].attributes.len(), 3);
    let pool = attribute(&all.logs[0].attributes, "snakepit.pool");
    assert_eq!(pool.as_deref(), Some("mai"));
}

/// Starts exporters as a program does that has no subscriber, and ends. Run by the test below in a
/// process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_a_subscriber() {
    if std::env::var_os("SNAKEPIT_TEST_PROGRAM").is_some() {
        Telemetry::from_env().unwrap().shutdown().await;
    }
}

#[test]
fn variables_without_an_effect_are_named_on_stderr() {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "environment::a_program_without_a_subscriber"])
        .arg("--nocapture")
        .env("SNAKEPIT_TEST_PROGRAM", "1")
        .env("OTEL_PROPAGATORS", "b3multi")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        .env("OTEL_TRACES_EXPORTER", "none")
        .env("OTEL_METRICS_EXPORTER", "none")
        .output()
        .unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{stderr}");
    let said = |text| stderr.matches(text).count();
    assert_eq!(
        said("OTEL_PROPAGATORS=b3multi has no effect"),
        1,
        "{stderr}"
    );
    assert_eq!(said("has the port for OTLP over HTTP"), 1, "{stderr}");
}
