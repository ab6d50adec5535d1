//! The table `telemetry`.

use super::*;
use snakepit_telemetry::TelemetryConfig;
use tracing::level_filters::LevelFilter;

fn exporters(text: &str, variables: &[(&str, &str)]) -> Option<TelemetryConfig> {
    load(text, variables).1.unwrap().telemetry
}

#[test]
fn its_keys_are_read_and_variables_win() {
    let text = r#"
        [telemetry]
        service_name = "shop"
        resource = { "deployment.environment.name" = "test" }
        otlp = "http://collector:4317"
        logs = "none"
        metrics = "http://metrics:4317"
        headers = { authorization = "Bearer x" }
        certificate = "ca.pem"
        timeout = "2s"
        compression = "gzip"
        queue = 100
        queue_bytes = "1MiB"
        batch = 10
        delay = "50ms"
        metrics_interval = 15
        prometheus = "127.0.0.1:9464"
        sampling = 0.25
        parent_based = false
        log_level = "warn"
        log_levels = { urllib3 = "error" }
        pool_log_levels = { gpu = "debug" }
        redact = ["x-internal"]
        hash_sessions = true
        label_sets = 50
        shutdown_timeout = "3s"
        [pools.main]
        adapter = "tools.py"
    "#;
    let (dir, config) = load(text, &[]);
    let config = config.unwrap().telemetry.unwrap();
    let otlp = config.otlp.unwrap();
    assert_eq!(config.service_name, "shop");
    assert_eq!(otlp.traces.as_deref(), Some("http://collector:4317"));
    assert_eq!(otlp.metrics.as_deref(), Some("http://metrics:4317"));
    assert_eq!((otlp.logs, otlp.queue, otlp.batch), (None, 100, 10));
    assert_eq!(otlp.certificate, Some(dir.path().join("ca.pem")));
    assert_eq!(otlp.metrics_interval, Duration::from_secs(15));
    assert_eq!(otlp.queue_bytes, 1 << 20);
    assert_eq!(otlp.compression, snakepit_telemetry::Compression::Gzip);
    assert_eq!(config.prometheus, Some(([127, 0, 0, 1], 9464).into()));
    assert_eq!(
        (config.sampling.ratio, config.sampling.parent_based),
        (0.25, false)
    );
    assert_eq!(config.log_levels["urllib3"], LevelFilter::ERROR);
    assert_eq!(config.pool_log_levels["gpu"], LevelFilter::DEBUG);
    assert!(config.hash_sessions);
    let variables = [
        ("OTEL_SERVICE_NAME", "other"),
        ("SNAKEPIT_TELEMETRY__SAMPLING", "1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500"),
    ];
    let config = exporters(text, &variables).unwrap();
    assert_eq!(
        (&*config.service_name, config.sampling.ratio),
        ("other", 1.0)
    );
    assert_eq!(config.otlp.unwrap().timeout, Duration::from_millis(500));
}

#[test]
fn it_is_off_unless_somebody_turns_it_on() {
    let pool = "[pools.main]\nadapter = 'tools.py'\n";
    // Standard variables apply to the whole program: alone they enable nothing here.
    let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317");
    assert_eq!(exporters(pool, &[standard]), None);
    let off = format!("{pool}[telemetry]\nenabled = false\nprometheus = '127.0.0.1:1'\n");
    assert_eq!(exporters(&off, &[]), None);
    let variable = ("SNAKEPIT_TELEMETRY__PROMETHEUS", "127.0.0.1:9464");
    let config = exporters(pool, &[variable]).unwrap();
    assert!(config.prometheus.is_some() && config.otlp.is_none());
}

#[test]
fn what_it_cannot_use_is_named_with_its_place() {
    for (line, key, says) in [
        ("sampling = 2", "sampling", "between 0 and 1"),
        (
            "prometheus = '9464'",
            "prometheus",
            "an address with a port",
        ),
        ("log_level = 'loud'", "log_level", "must be one of"),
        ("compression = 'zstd'", "compression", "must be one of"),
        ("sampling_rate = 1", "sampling_rate", "is not a known key"),
        ("otlp = 'http://a'\nqueue = 0", "queue", "between 1 and"),
        ("shutdown_timeout = 0", "shutdown_timeout", "between 10ms"),
    ] {
        let text = format!("[telemetry]\n{line}\n[pools.main]\nadapter = 'tools.py'\n");
        let (_, found, message, help, location) = failure(&text, &[]);
        assert_eq!(found, format!("telemetry.{key}"), "{line}");
        assert!(
            message.contains(says) && !help.is_empty(),
            "{line}: {message}"
        );
        assert!(is_in_file(&location), "{line}: {location}");
    }
}

#[test]
fn the_table_in_the_guide_is_as_it_says() {
    let guide = include_str!("../../../../../docs/telemetry.md");
    let (_, rest) = guide.split_once("```toml\n").unwrap();
    let (table, _) = rest.split_once("```").unwrap();
    let text = format!("{table}\n[pools.main]\nadapter = \"tools.py\"\n");
    let config = exporters(&text, &[]).unwrap();
    assert_eq!(config.service_name, "shop");
    assert_eq!(config.prometheus.unwrap().to_string(), "localhost:9464");
    assert!(config.otlp.unwrap().logs.unwrap().starts_with("https://"));
    assert_eq!(config.sampling.ratio, 0.1);
}
