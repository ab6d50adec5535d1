//! Tests of settings from environment variables.

use super::*;
use std::time::Duration;

use crate::Compression;

fn read(variables: &[(&str, &str)]) -> Result<TelemetryConfig, ConfigError> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut config = TelemetryConfig::new();
    config.otlp = Some(OtlpConfig::default());
    config.change_by(variables.iter().map(own))?;
    Ok(config)
}

#[test]
fn the_standard_names_are_read() {
    let config = read(&[
        ("OTEL_SERVICE_NAME", "shop"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test,a=b%20c,",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20abc,x-a=1",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
        ("OTEL_METRICS_EXPORTER", "otlp,prometheus"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "9999"),
        ("OTEL_LOGS_EXPORTER", ""),
    ])
    .unwrap();
    assert_eq!(config.service_name, "shop");
    assert_eq!(config.resource["a"], "b c");
    assert_eq!(config.sampling.ratio, 0.5);
    assert_eq!(config.prometheus, Some(([127, 0, 0, 1], 9999).into()));
    let otlp = config.otlp.as_ref().unwrap();
    assert_eq!(otlp.traces.as_deref(), Some("http://collector:4317"));
    assert_eq!(otlp.metrics.as_deref(), Some("http://collector:4317"));
    assert_eq!(otlp.logs.as_deref(), Some("http://logs:4317"));
    assert_eq!(otlp.headers["authorization"], "Bearer abc");
    assert_eq!(otlp.timeout, Duration::from_millis(2500));
    assert_eq!(otlp.certificate.as_deref(), Some("/ca.pem".as_ref()));
    let traces = otlp.of(&otlp.for_traces);
    assert_eq!((traces.queue, traces.batch), (100, 100));
    assert_eq!(otlp.of(&otlp.for_logs).queue, 4096);
    assert_eq!(otlp.metrics_interval, Duration::from_secs(1));
    config.validate().unwrap();
}

#[test]
fn the_endpoint_for_prometheus_may_have_a_name() {
    let read = |host| {
        read(&[
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_EXPORTER_PROMETHEUS_HOST", host),
        ])
    };
    for (host, address) in [
        ("localhost", "localhost:9464"),
        ("0.0.0.0", "0.0.0.0:9464"),
        ("::1", "[::1]:9464"),
        ("[::1]", "[::1]:9464"),
    ] {
        let config = read(host).unwrap();
        assert_eq!(config.prometheus.unwrap().to_string(), address);
    }
    // Without an exporter in the variables they change the endpoint of the settings.
    let mut config = TelemetryConfig::new();
    config.prometheus = Some(ListenAddress::standard());
    let port = ("OTEL_EXPORTER_PROMETHEUS_PORT".to_owned(), "0".to_owned());
    config.change_by([port]).unwrap();
    assert_eq!(config.prometheus.unwrap().to_string(), "127.0.0.1:0");
    for host in ["http://localhost", "a b", "1:2:3"] {
        let error = read(host).unwrap_err();
        assert_eq!(error.key, "OTEL_EXPORTER_PROMETHEUS_HOST");
    }
}

#[test]
fn the_names_of_the_original_stand_in_for_those_that_are_missing() {
    let endpoint = |variables: &[(&str, &str)]| {
        let config = read(variables).unwrap();
        config.otlp.and_then(|otlp| otlp.traces)
    };
    let old = ("SNAKEPIT_OTEL_ENDPOINT", "http://old:4317");
    assert_eq!(endpoint(&[old]).as_deref(), Some("http://old:4317"));
    let new = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://new:4317");
    assert_eq!(endpoint(&[old, new]).as_deref(), Some("http://new:4317"));
    assert_eq!(endpoint(&[("SNAKEPIT_ENABLE_OTLP", "false")]), None);
    let names = [
        ("SNAKEPIT_SERVICE_NAME", "old"),
        ("SNAKEPIT_INSTANCE_ID", "i-1"),
        ("SNAKEPIT_LOG_LEVEL", "warning"),
    ];
    let config = read(&names).unwrap();
    assert_eq!(config.service_name, "old");
    assert_eq!(config.resource["service.instance.id"], "i-1");
    assert_eq!(config.log_level, LevelFilter::WARN);
}

#[test]
fn signals_and_everything_can_be_turned_off() {
    let config = read(&[("OTEL_LOGS_EXPORTER", "none")]).unwrap();
    let otlp = config.otlp.unwrap();
    assert!(otlp.traces.is_some() && otlp.logs.is_none());
    assert_eq!(read(&[("OTEL_SDK_DISABLED", "true")]).unwrap().otlp, None);
}

#[test]
fn values_that_cannot_be_used_are_refused_with_their_variable() {
    for (name, value) in [
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "brotli"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "perhaps"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "soon"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("SNAKEPIT_LOG_LEVEL", "loud"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-a=1,authorization: Bearer hushhush",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "=hushhush"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "=hushhush"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error.key, name);
        assert!(!error.to_string().contains("hushhush"), "{error}");
        assert!(!error.help.is_empty());
    }
}

/// The effect of a standard variable.
enum Treatment {
    /// A value changes the settings.
    Honoured(&'static str),
    /// A value has no effect, and a warning names it; another one describes what happens anyway.
    Warned(&'static str, &'static str),
    /// A value fails the start.
    Rejected(&'static str),
    /// The variable concerns an exporter that does not exist, and cannot be selected.
    Without,
}

use Treatment::{Honoured, Rejected, Warned, Without};

/// The variables of OpenTelemetry's specification (general SDK, OTLP exporter, declarative
/// configuration). `*` stands for nothing, and for each signal.
const STANDARD: &[(&str, Treatment)] = &[
    ("OTEL_SDK_DISABLED", Honoured("true")),
    ("OTEL_ENTITIES", Warned("service{}", "")),
    ("OTEL_RESOURCE_ATTRIBUTES", Honoured("a=b")),
    ("OTEL_SERVICE_NAME", Honoured("shop")),
    ("OTEL_LOG_LEVEL", Warned("debug", "")),
    ("OTEL_PROPAGATORS", Warned("b3", "tracecontext, baggage")),
    ("OTEL_TRACES_SAMPLER", Honoured("Always_Off")),
    ("OTEL_TRACES_SAMPLER", Rejected("jaeger_remote")),
    ("OTEL_TRACES_SAMPLER", Rejected("parentbased_jaeger_remote")),
    ("OTEL_TRACES_SAMPLER", Rejected("xray")),
    ("OTEL_BSP_SCHEDULE_DELAY", Honoured("2000")),
    ("OTEL_BSP_EXPORT_TIMEOUT", Honoured("2000")),
    ("OTEL_BSP_MAX_QUEUE_SIZE", Honoured("1000")),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Honoured("100")),
    ("OTEL_BLRP_SCHEDULE_DELAY", Honoured("2000")),
    ("OTEL_BLRP_EXPORT_TIMEOUT", Honoured("2000")),
    ("OTEL_BLRP_MAX_QUEUE_SIZE", Honoured("1000")),
    ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", Honoured("100")),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", Honoured("100")),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", Honoured("10")),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", Honoured("100")),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", Honoured("10")),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", Honoured("10")),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", Honoured("10")),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", Honoured("10")),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", Honoured("10")),
    (
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        Honoured("100"),
    ),
    ("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", Honoured("10")),
    (
        "OTEL_EXPORTER_OTLP_*ENDPOINT",
        Honoured("http://other:4317"),
    ),
    ("OTEL_EXPORTER_OTLP_*HEADERS", Honoured("a=b")),
    ("OTEL_EXPORTER_OTLP_*TIMEOUT", Honoured("0")),
    ("OTEL_EXPORTER_OTLP_*COMPRESSION", Honoured("GZIP")),
    ("OTEL_EXPORTER_OTLP_*CERTIFICATE", Honoured("/ca.pem")),
    (
        "OTEL_EXPORTER_OTLP_*CLIENT_CERTIFICATE",
        Honoured("/own.pem"),
    ),
    ("OTEL_EXPORTER_OTLP_*CLIENT_KEY", Honoured("/own.key")),
    ("OTEL_EXPORTER_OTLP_*PROTOCOL", Rejected("http/protobuf")),
    (
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        Warned("delta", "Cumulative"),
    ),
    (
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        Warned(
            "base2_exponential_bucket_histogram",
            "explicit_bucket_histogram",
        ),
    ),
    ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", Without),
    ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", Without),
    ("OTEL_TRACES_EXPORTER", Honoured("None")),
    ("OTEL_TRACES_EXPORTER", Rejected("zipkin")),
    ("OTEL_METRICS_EXPORTER", Honoured("none,prometheus")),
    ("OTEL_METRICS_EXPORTER", Rejected("console")),
    ("OTEL_LOGS_EXPORTER", Honoured("none")),
    ("OTEL_LOGS_EXPORTER", Rejected("otlp/stdout")),
    (
        "OTEL_METRICS_EXEMPLAR_FILTER",
        Warned("always_on", "trace_based"),
    ),
    ("OTEL_METRIC_EXPORT_INTERVAL", Honoured("1000")),
    ("OTEL_METRIC_EXPORT_TIMEOUT", Honoured("1000")),
    ("OTEL_CONFIG_FILE", Warned("otel.yaml", "")),
];

#[test]
fn each_standard_variable_is_honoured_or_named_and_is_in_the_guide() {
    let guide = include_str!("../../../../docs/telemetry.md");
    let usual = read(&[]).unwrap();
    for (pattern, treatment) in STANDARD {
        let general = pattern.replace('*', "");
        assert!(guide.contains(&general), "{general} is in the guide");
        for signal in ["", "TRACES_", "METRICS_", "LOGS_"] {
            if !pattern.contains('*') && !signal.is_empty() {
                continue;
            }
            let name = pattern.replace('*', signal);
            match treatment {
                Honoured(value) => {
                    let config = read(&[(&name, value)]).unwrap();
                    assert_ne!(config, usual, "{name}={value} changes something");
                    assert!(config.unsupported.is_empty(), "{name}");
                }
                Warned(value, same) => {
                    let config = read(&[(&name, value)]).unwrap();
                    let [warning] = &config.unsupported[..] else {
                        panic!("{name}: one warning");
                    };
                    let start = format!("{name}={value} has no effect: ");
                    assert!(warning.starts_with(&start), "{warning}");
                    assert_eq!(read(&[(&name, same)]).unwrap(), usual, "{name}={same}");
                }
                Rejected(value) => {
                    let error = read(&[(&name, value)]).unwrap_err();
                    assert_eq!(error.key, name);
                    assert!(!error.help.is_empty());
                }
                Without => assert_eq!(read(&[(&name, "1")]).unwrap(), usual, "{name}"),
            }
        }
    }
}

#[test]
fn variables_of_one_signal_apply_to_it_alone() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-a=all,x-b=all"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-a=logs"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "2000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "9000"),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/metrics.pem"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999"),
    ])
    .unwrap();
    config.validate().unwrap();
    let otlp = config.otlp.unwrap();
    let [traces, metrics, logs] =
        [&otlp.for_traces, &otlp.for_metrics, &otlp.for_logs].map(|own| otlp.of(own));
    assert_eq!((traces.headers.len(), metrics.headers.len()), (2, 2));
    assert_eq!(logs.headers, [("x-a".to_owned(), "logs".to_owned())].into());
    assert_eq!(traces.compression, Compression::Gzip);
    assert_eq!(metrics.compression, Compression::Gzip);
    assert_eq!(logs.compression, Compression::None);
    assert_eq!(
        [&traces, &metrics, &logs].map(|own| own.timeout.as_millis()),
        [9000, 3000, 2000]
    );
    assert_eq!(metrics.certificate, Some("/metrics.pem".into()));
    assert_eq!((&traces.certificate, &logs.certificate), (&None, &None));
    assert_eq!(traces.batch, traces.queue);
}

#[test]
fn a_signal_that_is_not_exported_may_have_any_protocol() {
    let config = read(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "none"),
    ]);
    assert!(config.unwrap().otlp.unwrap().traces.is_some());
}

#[test]
fn an_endpoint_without_a_scheme_gets_the_one_that_a_variable_chooses() {
    let traces = |variables: &[(&str, &str)]| {
        let config = read(variables).unwrap();
        config.otlp.unwrap().traces.unwrap()
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    assert_eq!(traces(&[endpoint]), "collector:4317");
    assert_eq!(traces(&[endpoint, insecure]), "http://collector:4317");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "traces:4317");
    let secure = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false");
    assert_eq!(traces(&[own, insecure]), "http://traces:4317");
    assert_eq!(traces(&[own, insecure, secure]), "https://traces:4317");
    let full = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317");
    assert_eq!(traces(&[full, insecure]), "https://collector:4317");
}
