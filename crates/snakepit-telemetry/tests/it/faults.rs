//! Collectors that are absent, reject, hang, are slow, fail and die: no call waits for them, and
//! every lost record is counted.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use snakepit_core::events::Events;
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_telemetry::{FlushReport, Telemetry};
use tokio::time::timeout;
use tonic::Code;
use tracing::Level;

use crate::collector::{Collector, LIMIT, Mode};
use crate::support::{LONG, capture, log, logged, span, text};

const QUEUE: usize = 100;

struct Host {
    telemetry: Telemetry,
    state: HostState,
}

impl Host {
    fn start(address: SocketAddr) -> Self {
        capture();
        let telemetry = Telemetry::builder()
            .otlp(format!("http://{address}"))
            .configure(|config| {
                config.shutdown_timeout = Duration::from_secs(1);
                let otlp = config.otlp.as_mut().unwrap();
                otlp.metrics = None;
                otlp.timeout = Duration::from_millis(300);
                otlp.delay = Duration::from_millis(10);
                (otlp.queue, otlp.batch) = (QUEUE, 10);
            })
            .own_subscriber()
            .start()
            .unwrap();
        let state = HostState::new(HostStateConfig::new()).unwrap();
        telemetry.attach(&state);
        Self { telemetry, state }
    }

    fn events(&self) -> &Events {
        self.state.events()
    }

    /// Records this number of spans, and as many logs.
    fn record(&self, number: usize) {
        let recorder = self.events().recorder().unwrap();
        for _ in 0..number {
            recorder.span(span(self.events(), Vec::new()));
            recorder.log(&log("careful", None));
            assert!(self.telemetry.waiting() <= 2 * QUEUE);
        }
    }

    async fn shutdown(&self) -> FlushReport {
        timeout(LONG, self.telemetry.shutdown()).await.unwrap()
    }
}

fn nobody() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_a_collector_rejects_are_counted() {
    let collector = Collector::start(Mode::Reject(2)).await;
    let telemetry = Telemetry::builder()
        .otlp(collector.endpoint())
        .own_subscriber();
    let telemetry = telemetry.start().unwrap();
    let state = HostState::new(HostStateConfig::new()).unwrap();
    telemetry.attach(&state);
    let report = timeout(LONG, telemetry.shutdown()).await.unwrap();
    assert!(report.complete);
    // The metrics of sessions exist from the start: two points.
    assert_eq!(
        (report.dropped, report.exported),
        (2, 0),
        "{:?}",
        collector.all().metrics
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_a_collector_rejects_are_counted_and_told_once() {
    let collector = Collector::start(Mode::Reject(3)).await;
    let host = Host::start(collector.address);
    // Three records of each batch are rejected. The interval of exports may split a batch of ten.
    host.record(20);
    collector.until(|all| all.requests >= 4).await;
    let warnings = || logged(Level::WARN, collector.address);
    collector.mode(Mode::Take);
    host.record(10);
    let report = host.shutdown().await;
    let rejected = u64::try_from(collector.all().rejected).unwrap();
    let warnings = warnings();
    assert!(rejected >= 4, "{rejected} {warnings:?}");
    assert_eq!(
        (report.exported, report.dropped),
        (60 - rejected, rejected),
        "{report:?} {warnings:?}"
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("has rejected ") && warnings[0].contains(LIMIT),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn an_absent_collector_costs_its_records_and_one_warning() {
    let address = nobody();
    let host = Host::start(address);
    host.record(5_000);
    let report = host.shutdown().await;
    assert_eq!((report.exported, report.dropped), (0, 10_000));
    let warnings = logged(Level::WARN, address);
    let unreachable = |text: &&String| text.contains("does not accept");
    assert_eq!(
        warnings.iter().filter(unreachable).count(),
        1,
        "{warnings:?}"
    );
    assert!(warnings.len() <= 3, "{warnings:?}");
    // The recorder is removed, and a second shutdown returns the same report.
    assert!(host.events().recorder().is_none());
    assert_eq!(host.shutdown().await, report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_fails_is_reported_once_and_used_again_when_it_works() {
    for code in [Code::Internal, Code::Unauthenticated, Code::Unimplemented] {
        let collector = Collector::start(Mode::Refuse(code)).await;
        let host = Host::start(collector.address);
        host.record(30);
        collector.until(|all| all.requests >= 6).await;
        host.record(30);
        collector.until(|all| all.requests >= 12).await;
        collector.mode(Mode::Take);
        host.record(20);
        collector
            .until(|all| all.spans.len() >= 20 && all.logs.len() >= 20)
            .await;
        let report = host.shutdown().await;
        let all = collector.all();
        assert_eq!(report.exported as usize, all.spans.len() + all.logs.len());
        assert_eq!(report.exported + report.dropped, 160);
        let warnings = logged(Level::WARN, collector.address);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&format!("{code:?}")), "{warnings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_holds_up_nobody() {
    let collector = Collector::start(Mode::Hang).await;
    let host = Host::start(collector.address);
    host.record(1_000);
    collector.until(|all| all.requests >= 2).await;
    host.record(1_000);
    let report = host.shutdown().await;
    assert_eq!((report.exported, report.dropped), (0, 4_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_collector_gets_what_fits_and_the_rest_is_counted() {
    let collector = Collector::start(Mode::Slow).await;
    let host = Host::start(collector.address);
    host.record(1_000);
    collector.until(|all| all.requests >= 1).await;
    collector.received.permits.add_permits(100_000);
    host.record(10);
    let report = host.shutdown().await;
    let all = collector.all();
    assert_eq!(report.exported + report.dropped, 2_020);
    // The collector may have accepted a request that the host gave up.
    assert!(report.exported as usize <= all.spans.len() + all.logs.len());
    assert!(report.exported > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_may_die_and_come_back() {
    let first = Collector::start(Mode::Take).await;
    let (address, host) = (first.address, Host::start(first.address));
    host.record(10);
    first
        .until(|all| all.spans.len() >= 10 && all.logs.len() >= 10)
        .await;
    // If an answer were lost, accepted records would be counted as dropped.
    while host.telemetry.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    first.die().await;
    host.record(500);
    let second = Collector::at(address, Mode::Take).await;
    loop {
        host.record(1);
        let all = second.all();
        if !all.spans.is_empty() && !all.logs.is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let report = host.shutdown().await;
    let received = second.all().spans.len() + second.all().logs.len();
    assert_eq!(report.exported as usize, 20 + received);
    assert!(logged(Level::WARN, address).len() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_records_are_bounded_by_their_bytes() {
    let collector = Collector::start(Mode::Hang).await;
    let telemetry = Telemetry::builder()
        .otlp(collector.endpoint())
        .configure(|config| {
            config.shutdown_timeout = Duration::from_millis(100);
            config.otlp.as_mut().unwrap().queue_bytes = 1 << 20;
        })
        .own_subscriber()
        .start()
        .unwrap();
    let state = HostState::new(HostStateConfig::new()).unwrap();
    telemetry.attach(&state);
    let recorder = state.events().recorder().unwrap();
    let large = "x".repeat(100_000);
    for _ in 0..100 {
        recorder.span(span(
            state.events(),
            vec![("a".into(), text(large.clone()))],
        ));
        assert!(telemetry.waiting() <= 10);
    }
    let report = timeout(LONG, telemetry.shutdown()).await.unwrap();
    assert_eq!(report.exported, 0);
    assert!(report.dropped >= 100);
}

#[test]
fn exporters_need_no_runtime_and_end_when_they_are_dropped() {
    let telemetry = Telemetry::builder().otlp(format!("http://{}", nobody()));
    drop(telemetry.own_subscriber().start().unwrap());
}
