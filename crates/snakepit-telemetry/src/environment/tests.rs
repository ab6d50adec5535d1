//! Tests of settings from environment variables.

use super::*;

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
    assert_eq!((otlp.queue, otlp.batch), (100, 100));
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
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("SNAKEPIT_LOG_LEVEL", "loud"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "x-a=1,authorization: Bearer hushhush",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "=hushhush"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error.key, name);
        assert!(!error.to_string().contains("hushhush"), "{error}");
        assert!(!error.help.is_empty());
    }
}
