//! The exporters of a host with real Python: counters, traces over OTLP, configuration, program.

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../../../snakepit-telemetry/tests/it/collector.rs"]
mod collector;
mod family;
mod picture;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use schemars::JsonSchema;
use serde::Deserialize;
use snakepit::{Config, Error, HostTool, Snakepit, Telemetry, ToolContext, ToolFailure, args};
use tokio::task::JoinSet;
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use self::collector::{Collector, Mode, attribute};
use crate::cli_support::run;
use crate::support::{pool, pool_of};

const ADAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/exporters/tools.py");

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Fetches the page of metrics.
fn page(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// Sums the samples of this name whose labels contain all these parts.
fn sum(page: &str, name: &str, parts: &[&str]) -> f64 {
    let own = page.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with('{'))
            && parts.iter().all(|part| line.contains(part))
    });
    own.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_what_callers_saw_while_workers_are_killed() {
    let telemetry = Telemetry::builder().prometheus(any_port()).own_subscriber();
    let telemetry = telemetry.start().unwrap();
    let address = telemetry.prometheus_address().unwrap();
    let main = pool("main", 2).configure(|config| {
        config.restart.max_restarts = 1000;
        config.restart.initial_backoff = std::time::Duration::from_millis(1);
    });
    let snakepit = Snakepit::builder().pool(main).telemetry(&telemetry);
    let snakepit = snakepit.start().await.unwrap();
    let (ok, died) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (snakepit, ok, died) = (snakepit.clone(), Arc::clone(&ok), Arc::clone(&died));
        callers.spawn(async move {
            for n in 0..50_u64 {
                match snakepit.execute::<u64>("echo", (n,)).await {
                    Ok(back) => {
                        assert_eq!(back, n);
                        ok.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(Error::WorkerDied { .. }) => {
                        died.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        });
    }
    let mut kills = 0;
    while !callers.is_empty() && kills < 6 {
        let pid = snakepit.workers().iter().find_map(|worker| worker.pid);
        if let Some(pid) = pid {
            kills += u32::from(kill(Pid::from_raw(pid as i32), Signal::SIGKILL).is_ok());
            // A killed worker accepts a second signal, which is not a second death.
            while snakepit
                .workers()
                .iter()
                .any(|worker| worker.pid == Some(pid))
            {
                tokio::task::yield_now().await;
            }
        }
        let before = ok.load(Ordering::Relaxed);
        // Continues once more calls have succeeded, or all are done.
        while ok.load(Ordering::Relaxed) < before + 20 && !callers.is_empty() {
            tokio::select! {
                Some(result) = callers.join_next() => result.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    callers.join_all().await;
    snakepit.shutdown().await;
    let page = page(address);
    let (ok, died) = (
        ok.load(Ordering::Relaxed) as f64,
        died.load(Ordering::Relaxed) as f64,
    );
    assert_eq!(ok + died, 400.0);
    for name in ["snakepit_calls_total", "snakepit_attempts_total"] {
        assert_eq!(sum(&page, name, &["outcome=\"ok\""]), ok, "{name}\n{page}");
        assert_eq!(
            sum(&page, name, &["outcome=\"error\""]),
            died,
            "{name}\n{page}"
        );
    }
    let duration = "rpc_client_call_duration_seconds_count";
    assert_eq!(sum(&page, duration, &["tool=\"echo\""]), ok + died);
    let deaths = sum(&page, "snakepit_worker_deaths_total", &["cause=\"signal\""]);
    assert!(deaths >= f64::from(kills), "{kills} kills\n{page}");
    telemetry.shutdown().await;
}

#[derive(Deserialize, JsonSchema)]
struct Word {
    word: String,
}

/// Starts a host whose tool calls back into Rust, which calls a tool of another pool.
async fn shop(telemetry: &Telemetry) -> Snakepit {
    let main = pool_of("main", ADAPTER);
    let other = pool_of("other", ADAPTER);
    let snakepit = Snakepit::builder()
        .pool(main)
        .pool(other)
        .telemetry(telemetry);
    let snakepit = snakepit.start().await.unwrap();
    let weak = snakepit.downgrade();
    let price = HostTool::asynchronous("price", move |context: ToolContext, word: Word| {
        let weak = weak.clone();
        async move {
            let snakepit = weak
                .upgrade()
                .ok_or_else(|| ToolFailure::new("it is gone"))?;
            let other = snakepit.pool("other")?;
            let options = context.options();
            let length = other
                .call::<u64>("length")
                .args((word.word,))
                .options(&options);
            Ok(length.await?)
        }
    });
    snakepit.host_tools().register(price.exposed()).unwrap();
    snakepit
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_one_trace_from_the_caller_through_python_and_back() {
    let collector = Collector::start(Mode::Take).await;
    let telemetry = Telemetry::builder()
        .otlp(collector.endpoint())
        .own_subscriber()
        .start()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(telemetry.layer());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let snakepit = shop(&telemetry).await;
    let call = snakepit.execute::<u64>("total", args! { "words" => ["tea", "bread"] });
    let checkout = tracing::info_span!("checkout");
    assert_eq!(call.instrument(checkout).await.unwrap(), 8);
    snakepit.shutdown().await;
    let report = telemetry.shutdown().await;
    assert!(report.complete && report.dropped == 0, "{report:?}");

    let all = collector.all();
    let root = all.only("checkout");
    let call = all.child(root, "snakepit.call");
    let tool = all.child(call, "snakepit.tool");
    let python = all.child(tool, "price the words");
    let hosts = all.children(python, "snakepit.host_tool");
    assert_eq!(hosts.len(), 2, "{:#?}", all.spans);
    for host in hosts {
        let nested = all.child(host, "snakepit.call");
        let length = all.child(nested, "snakepit.tool");
        assert_eq!(
            attribute(&length.attributes, "snakepit.pool").as_deref(),
            Some("other")
        );
        for (inner, outer) in [
            (length, nested),
            (nested, host),
            (host, python),
            (python, tool),
        ] {
            assert!(outer.start_time_unix_nano <= inner.start_time_unix_nano);
            assert!(inner.end_time_unix_nano <= outer.end_time_unix_nano);
        }
    }
    let record = all
        .logs
        .iter()
        .find(|log| log.severity_text == "WARN")
        .unwrap();
    assert_eq!(record.span_id, python.span_id);
    assert!(all.metrics.iter().any(|it| it.name == "shop.words"));
    picture::check(&all.trace(root));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_the_configuration_turns_it_on_and_it_ends_with_the_whole() {
    let variables = [("SNAKEPIT_TELEMETRY__PROMETHEUS", "127.0.0.1:0")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_sources(None, variables).unwrap();
    let snakepit = Snakepit::builder().config(config).pool(pool("main", 1));
    let snakepit = snakepit.start().await.unwrap();
    let address = snakepit.telemetry().unwrap().prometheus_address().unwrap();
    let back: u64 = snakepit.execute("echo", (7,)).await.unwrap();
    assert_eq!(back, 7);
    let page = page(address);
    assert_eq!(
        sum(
            &page,
            "snakepit_calls_total",
            &["pool=\"main\"", "outcome=\"ok\""]
        ),
        1.0
    );
    assert!(sum(&page, "process_memory_usage_bytes", &["worker=\"main-"]) > 1e6);
    snakepit.shutdown().await;
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_program_exports_and_an_absent_collector_costs_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let tools = format!("{ADAPTER}:length");
    let done = run(
        dir.path(),
        [
            "call",
            "--otlp=http://127.0.0.1:1",
            "--metrics",
            "127.0.0.1:0",
            &tools,
            "word=tea",
        ],
    );
    assert_eq!(
        (done.status, done.stdout.trim()),
        (Some(0), "3"),
        "{done:?}"
    );
    assert!(
        done.stderr.contains("metrics: http://127.0.0.1:"),
        "{done:?}"
    );
    assert_eq!(
        done.stderr.matches("does not accept").count(),
        1,
        "{done:?}"
    );
}

#[test]
fn the_program_names_what_it_cannot_use() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(any_port()).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let tools = format!("{ADAPTER}:length");
    for (options, says) in [
        (
            ["--otlp=localhost:4317", "--json"],
            "must begin with http://",
        ),
        (["--metrics", &taken], "cannot listen on"),
        (["--metrics", "nowhere"], "invalid"),
    ] {
        let arguments = [&["call"][..], &options, &[&tools, "word=tea"]].concat();
        let done = run(dir.path(), arguments);
        assert_eq!(done.status, Some(2), "{options:?}: {done:?}");
        assert!(done.stderr.contains(says), "{options:?}: {done:?}");
        assert!(done.stdout.is_empty());
    }
}
