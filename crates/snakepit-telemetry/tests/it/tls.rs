//! Collectors with TLS: matching certificates, and others.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_telemetry::{FlushReport, Telemetry};
use tonic::transport::{Identity, ServerTlsConfig};
use tracing::Level;

use crate::collector::{Collector, Mode};
use crate::support::{capture, logged, skipped, span};

/// Creates a certificate and its key. `None` without `openssl`; in continuous integration
/// (`CI=true`) that is a failure.
fn certificate(dir: &Path, name: &str) -> Option<(PathBuf, PathBuf)> {
    let file = |end: &str| dir.join(format!("{name}.{end}"));
    let (certificate, key) = (file("pem"), file("key"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj"])
        .arg(format!("/CN={name}"))
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .stdin(Stdio::null())
        .output();
    if made.is_ok_and(|made| made.status.success()) {
        return Some((certificate, key));
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "`openssl` makes no certificate\n  help: install it"
    );
    skipped("`openssl` makes no certificate");
    None
}

/// Sends a span, shuts down, and returns the report.
async fn send(endpoint: String, certificate: Option<PathBuf>) -> FlushReport {
    let telemetry = Telemetry::builder()
        .otlp(endpoint)
        .configure(|config| {
            let otlp = config.otlp.as_mut().unwrap();
            (otlp.metrics, otlp.logs) = (None, None);
            otlp.timeout = Duration::from_secs(2);
            otlp.certificate = certificate;
        })
        .own_subscriber()
        .start()
        .unwrap();
    let state = HostState::new(HostStateConfig::new()).unwrap();
    telemetry.attach(&state);
    let recorder = state.events().recorder().unwrap();
    recorder.span(span(state.events(), Vec::new()));
    telemetry.shutdown().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_is_trusted_by_its_certificate_alone() {
    let dir = tempfile::tempdir().unwrap();
    let Some((own, key)) = certificate(dir.path(), "own") else {
        return;
    };
    let (other, _) = certificate(dir.path(), "other").unwrap();
    capture();
    let read = |path: &Path| std::fs::read(path).unwrap();
    let identity = Identity::from_pem(read(&own), read(&key));
    let tls = ServerTlsConfig::new().identity(identity);
    let collector = Collector::with_tls(tls).await;
    let endpoint = || format!("https://{}", collector.address);

    let report = send(endpoint(), Some(own)).await;
    assert_eq!((report.exported, report.dropped), (1, 0));
    assert_eq!(collector.all().spans.len(), 1);
    assert!(logged(Level::WARN, collector.address).is_empty());

    for (n, certificate) in [Some(other), None].into_iter().enumerate() {
        let report = send(endpoint(), certificate).await;
        assert_eq!((report.exported, report.dropped), (0, 1));
        let warnings = logged(Level::WARN, collector.address);
        assert_eq!(warnings.len(), n + 1, "{warnings:?}");
        assert!(warnings[n].contains("certificate"), "{warnings:?}");
    }
    assert_eq!(collector.all().spans.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_without_tls_is_reported_where_tls_is_asked_for() {
    capture();
    let collector = Collector::start(Mode::Take).await;
    let report = send(format!("https://{}", collector.address), None).await;
    assert_eq!((report.exported, report.dropped), (0, 1));
    assert_eq!(logged(Level::WARN, collector.address).len(), 1);
    assert_eq!(collector.all().requests, 0);
}
