//! The endpoint for Prometheus: pages, readiness, and peers that misbehave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::Error;
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;
use snakepit_telemetry::Telemetry;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::prometheus::{Server, program};
use crate::support::{LONG, ask, get, sum};

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn start(state: &HostState) -> (Telemetry, SocketAddr) {
    let telemetry = Telemetry::builder().prometheus(any_port()).own_subscriber();
    let telemetry = telemetry.start().unwrap();
    telemetry.attach(state);
    let address = telemetry.prometheus_address().unwrap();
    (telemetry, address)
}

fn state() -> HostState {
    HostState::new(HostStateConfig::new()).unwrap()
}

async fn pool(profile: &ScriptedProfile, workers: usize) -> Pool {
    let mut config = PoolConfig::new("main");
    config.workers = workers;
    config.restart.initial_backoff = Duration::from_millis(1);
    config.restart.max_backoff = Duration::from_millis(1);
    config.restart.min_lifetime = Duration::ZERO;
    config.restart.max_restarts = 1_000_000;
    Pool::start(config, Arc::new(profile.clone())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_workers_and_liveness_does_not() {
    let (state, profile) = (state(), ScriptedProfile::new(1));
    let profile = profile.with_state(state.clone());
    let (telemetry, address) = start(&state);
    let status = async |path| {
        let answer = get(address, path).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("/readyz").await, "503");
    assert_eq!(status("/healthz").await, "200");
    let pool = pool(&profile, 1).await;
    telemetry.add_pool(&pool);
    pool.await_all_ready(LONG).await.unwrap();
    assert_eq!(status("/readyz").await, "200");
    pool.close().await;
    assert_eq!(status("/readyz").await, "503");
    assert_eq!(status("/healthz").await, "200");
    assert_eq!(status("/elsewhere").await, "404");
    let posted = ask(
        address,
        "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    );
    assert!(posted.await.starts_with("HTTP/1.1 405"));
    telemetry.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let (first, address) = start(&state());
    let second = Telemetry::builder().prometheus(address).own_subscriber();
    let error = second.start().unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    assert!(error.contains("choose another address"), "{error}");
    first.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_hold_connections_keep_nobody_out_for_long() {
    let (telemetry, address) = start(&state());
    let mut held = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let part = ["", "GET /metr", "nonsense\r\n\r\n", "\0\u{1}"][n % 4];
        // The answer to an invalid request may arrive before all of it is written.
        let _ = stream.write_all(part.as_bytes()).await;
        held.push(stream);
    }
    let page = tokio::time::timeout(LONG, get(address, "/metrics")).await;
    assert!(page.unwrap().contains("# EOF"));
    drop(held);
    telemetry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scraper_is_served_while_others_come_and_ask_for_nothing() {
    let (telemetry, address) = start(&state());
    let mut others = JoinSet::new();
    for n in 0..190 {
        let part = ["", "GET /metrics HTTP/1.1\r\n"][n % 2];
        others.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(address).await else {
                    continue;
                };
                let _ = stream.write_all(part.as_bytes()).await;
                // Waits briefly for the endpoint to close the connection.
                let waiting = tokio::io::AsyncReadExt::read_u8(&mut stream);
                let _ = tokio::time::timeout(Duration::from_millis(5), waiting).await;
            }
        });
    }
    for _ in 0..50 {
        let page = tokio::time::timeout(LONG, get(address, "/metrics")).await;
        assert!(page.unwrap().contains("# EOF"));
    }
    others.shutdown().await;
    telemetry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_request_has_a_bound() {
    let (telemetry, address) = start(&state());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET /metrics HTTP/1.1\r\nx: {}", "y".repeat(20_000));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answer);
    tokio::time::timeout(LONG, read).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
    telemetry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_served_at_all_its_addresses() {
    let name = snakepit_telemetry::ListenAddress::new("localhost", 0).unwrap();
    let telemetry = Telemetry::builder().prometheus(name).own_subscriber();
    let telemetry = telemetry.start().unwrap();
    let port = telemetry.prometheus_address().unwrap().port();
    let mut served = 0;
    for mut address in tokio::net::lookup_host("localhost:1").await.unwrap() {
        address.set_port(port);
        // A machine without IPv6 does not have this address.
        if std::net::TcpListener::bind((address.ip(), 0)).is_ok() {
            assert!(
                get(address, "/metrics").await.contains("# EOF"),
                "{address}"
            );
            served += 1;
        }
    }
    assert!(served > 0);
    telemetry.shutdown().await;
}

/// The outcomes that callers saw.
#[derive(Default)]
struct Seen {
    ok: u64,
    error: u64,
    rejected: u64,
    queue_timeout: u64,
    call_timeout: u64,
    cancelled: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ten_thousand_calls_and_random_kills_the_counters_are_what_callers_saw() {
    const CALLS: usize = 10_000;
    let (state, profile) = (state(), ScriptedProfile::new(2));
    let profile = profile.with_state(state.clone());
    let (telemetry, address) = start(&state);
    let pool = pool(&profile, 4).await;
    telemetry.add_pool(&pool);
    pool.await_all_ready(LONG).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..50_u64 {
        let pool = pool.clone();
        callers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(caller);
            let mut seen = Seen::default();
            for _ in 0..CALLS / 50 {
                let tool = match random.u32(0..100) {
                    0..3 => "die",
                    3..8 => "fail",
                    _ => "echo",
                };
                let options = CallOptions::new();
                let call = pool.execute(tool, Payload::encode(&7_u64).unwrap(), &options);
                // A caller that is gone at once, before the pool has decided.
                if random.u32(0..50) == 0 {
                    let polled = tokio::time::timeout(Duration::ZERO, call).await;
                    match polled {
                        Err(_) => seen.cancelled += 1,
                        Ok(result) => seen.count(&result.map(drop)),
                    }
                    continue;
                }
                seen.count(&call.await.map(drop));
            }
            seen
        });
    }
    let all = callers.join_all().await;
    let total = |of: fn(&Seen) -> u64| all.iter().map(of).sum::<u64>() as f64;
    pool.close().await;
    let page = get(address, "/metrics").await;
    let server = program("prometheus").map(|program| Server::start(program, address));
    for (outcome, seen) in [
        ("ok", total(|it| it.ok)),
        ("error", total(|it| it.error)),
        ("rejected", total(|it| it.rejected)),
        ("queue_timeout", total(|it| it.queue_timeout)),
        ("call_timeout", total(|it| it.call_timeout)),
        ("cancelled", total(|it| it.cancelled)),
    ] {
        let label = format!("outcome=\"{outcome}\"");
        for name in ["snakepit_attempts_total", "snakepit_calls_total"] {
            let counted = sum(&page, name, &[&label, "pool=\"main\""]);
            assert_eq!(counted, seen, "{name} {outcome}\n{page}");
            // A count that was never increased has no series.
            if let Some(server) = server.as_ref().filter(|_| seen > 0.0) {
                let query = format!("sum({name}{{{label},pool=\"main\"}})");
                assert_eq!(server.value(&query).await, seen, "{query}");
            }
        }
    }
    assert_eq!(sum(&page, "snakepit_attempts_total", &[]), CALLS as f64);
    telemetry.shutdown().await;
}

impl Seen {
    fn count(&mut self, result: &Result<(), Error>) {
        match result {
            Ok(()) => self.ok += 1,
            Err(Error::Saturated { .. }) => self.rejected += 1,
            Err(Error::Timeout {
                phase: snakepit_core::error::Phase::Queue,
                ..
            }) => self.queue_timeout += 1,
            Err(Error::Timeout { .. }) => self.call_timeout += 1,
            Err(_) => self.error += 1,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_states_and_slots_are_shown() {
    let (state, profile) = (state(), ScriptedProfile::new(3));
    let profile = profile.with_state(state.clone());
    let (telemetry, address) = start(&state);
    let pool = pool(&profile, 2).await;
    telemetry.add_pool(&pool);
    pool.await_all_ready(LONG).await.unwrap();
    let page = get(address, "/metrics").await;
    assert_eq!(sum(&page, "snakepit_slots", &["state=\"free\""]), 6.0);
    assert_eq!(sum(&page, "snakepit_workers", &["state=\"idle\""]), 2.0);
    assert_eq!(sum(&page, "snakepit_pool_ready", &[]), 1.0);
    pool.close().await;
    telemetry.shutdown().await;
}
