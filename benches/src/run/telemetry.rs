//! Measures the cost of metrics, traces, events and the flight recorder for a small call, and the
//! cost of a flood of records for the host.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use snakepit::core::events::{Event, Events, kind};
use snakepit::core::id::{CallId, PoolName};
use snakepit::{PoolBuilder, Snakepit, Telemetry, TelemetryError};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status};

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Series, alternate};
use crate::host::{Host, current_thread, multi_thread};
use crate::load::closed;
use crate::placement::{move_process, on_cpu, two_cpus};
use crate::row::{Row, Target};
use crate::run::memory::resident;
use crate::run::{CALLS, rows};

const BENCH: &str = "telemetry";

/// Number of records that a worker reports in a flood.
const FLOOD: u64 = 100_000;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut table = events();
    let collector = Collector::start()?;
    if let Some([here, there]) = two_cpus()? {
        for (placed, cpu, traced) in [
            ("both ends on one CPU", here, 1.10),
            ("each end on its CPU", there, 1.05),
        ] {
            for (what, kind, limit) in [
                ("attached and shut down", Kind::Off, 1.005),
                ("metrics", Kind::Metrics, 1.015),
                ("every call traced", Kind::Traced, traced),
            ] {
                let series = on_cpu(here, || contest(plan, kind, cpu, &collector.endpoint))?;
                let target = [("p50", Target::FloorAtMost(limit, 0.0))];
                let case = format!("{what}, {placed}");
                table.extend(rows((BENCH, &case), &CALLS, &series, &target));
            }
            let series = on_cpu(here, || recorded(plan, cpu))?;
            let target = [("p50", Target::FloorAtMost(1.01, 0.0))];
            let case = format!("calls recorded, {placed}");
            table.extend(rows((BENCH, &case), &CALLS, &series, &target));
        }
    }
    table.extend(flood(plan)?);
    Ok(table)
}

/// The exports of a host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// None any more: its exporters have ended. (Builds without telemetry are not measured here;
    /// the first row shows the cost of an event without subscribers.)
    Off,
    Metrics,
    Traced,
}

/// Compares a host that exports with one that does not, which is the floor.
fn contest(plan: &Plan, kind: Kind, cpu: usize, collector: &str) -> Result<Series> {
    let telemetry = exporters(kind, collector)?;
    let (plain, observed) = (host(plan, None)?, host(plan, Some(&telemetry))?);
    if kind == Kind::Off {
        observed.runtime().block_on(telemetry.shutdown());
    }
    beside(plan, cpu, &observed, &plain)
}

/// Compares a host whose calls are in its flight recorder with one without, which is the floor.
fn recorded(plan: &Plan, cpu: usize) -> Result<Series> {
    let builder = Snakepit::builder().pool(pool(plan)).admin(false);
    let plain = Host::built(multi_thread()?, builder)?;
    beside(plan, cpu, &host(plan, None)?, &plain)
}

/// Lets both hosts call in turn, with their workers on this CPU.
fn beside(plan: &Plan, cpu: usize, ours: &Host, floor: &Host) -> Result<Series> {
    for pid in ours.pids().into_iter().chain(floor.pids()) {
        move_process(pid, cpu)?;
    }
    let round = |host: &Host| {
        let caller = host.caller();
        let call = move || caller.clone().echo();
        let load = host.runtime().block_on(closed(1, plan.turn, call))?;
        Ok(load.figures())
    };
    let ours = Entrant::ours(|| round(ours));
    let floor = Entrant::floor(|| round(floor));
    alternate(plan.rounds, &mut [ours, floor])
}

fn pool(plan: &Plan) -> PoolBuilder {
    let pool = PoolBuilder::new("bench", format!("{}/tools.py", crate::HOME));
    pool.python(&plan.pythons.ours).workers(1)
}

fn host(plan: &Plan, telemetry: Option<&Telemetry>) -> Result<Host> {
    Host::observed(multi_thread()?, pool(plan), telemetry)
}

fn exporters(kind: Kind, collector: &str) -> std::result::Result<Telemetry, TelemetryError> {
    let builder = Telemetry::builder().own_subscriber();
    let builder = match kind {
        Kind::Metrics => builder.prometheus(([127, 0, 0, 1], 0)),
        Kind::Off | Kind::Traced => builder.otlp(collector),
    };
    builder.start()
}

/// Measures the time of one event, in nanoseconds.
fn events() -> Vec<Row> {
    const ROUNDS: u32 = 2_000_000;
    let hub = Events::new();
    let pool = PoolName::new("bench");
    let time = || {
        let begin = Instant::now();
        for call in 0..ROUNDS {
            black_box(&hub).emit(kind::CallAbandoned, || Event::CallAbandoned {
                pool: pool.clone(),
                worker: snakepit::WorkerId::new("bench-1"),
                call: CallId(call.into()),
            });
        }
        begin.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    };
    let without = time();
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    let subscription = hub.on_event("call.*", move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let with = time();
    drop(subscription);
    let row = |case, value, limit| {
        Row::of(BENCH, case, ("event", "ns"), value).target(Target::AtMost(limit))
    };
    vec![
        row("no subscriber", without, 5.0),
        row("one subscriber", with, 300.0),
    ]
}

/// Measures the additional memory of the host while a worker reports as much as it can. Each record
/// reaches the host, or is counted as dropped.
fn flood(plan: &Plan) -> Result<Vec<Row>> {
    // No collector listens there: all records that arrive have to be kept or dropped.
    let telemetry = exporters(Kind::Traced, "http://127.0.0.1:1")?;
    let host = host(plan, Some(&telemetry))?;
    let (came, dropped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let news = Arc::new(Notify::new());
    let counted = (Arc::clone(&came), Arc::clone(&dropped), Arc::clone(&news));
    let kinds = [kind::Custom, kind::TelemetryDropped];
    let caller = host.caller();
    let events = caller.snakepit().host_state().events().clone();
    let subscription = events.on_kinds(&kinds, move |event| {
        let (came, dropped, news) = &counted;
        match event {
            Event::Custom(event) if &*event.name == "tool.flood" => {
                came.fetch_add(1, Ordering::Relaxed)
            }
            Event::TelemetryDropped { records, .. } => {
                dropped.fetch_add(*records, Ordering::Relaxed)
            }
            _ => return,
        };
        news.notify_one();
    });
    let before = resident(std::process::id())?;
    let most = host.runtime().block_on(async {
        let flood = caller.snakepit().execute::<u64>("flood", (FLOOD,));
        tokio::pin!(flood);
        let mut look = tokio::time::interval(Duration::from_millis(10));
        let mut most = before;
        loop {
            tokio::select! {
                done = &mut flood => {
                    done?;
                    return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(most);
                }
                _ = look.tick() => most = most.max(resident(std::process::id())?),
            }
        }
    })?;
    // The last dropped records are reported when the worker ends.
    drop((caller, host));
    let all = || came.load(Ordering::Relaxed) + dropped.load(Ordering::Relaxed);
    let wait = async {
        while all() < FLOOD {
            news.notified().await;
        }
    };
    let waited = current_thread()?.block_on(async { timeout(Duration::from_secs(10), wait).await });
    if waited.is_err() || all() != FLOOD {
        return Err(format!(
            "{} records of {FLOOD} came or were counted as dropped",
            all()
        )
        .into());
    }
    subscription.detach();
    let case = "100,000 records from a worker";
    let row = |metric, value| Row::of(BENCH, case, metric, value);
    Ok(vec![
        row(("rss", "MiB"), most - before).target(Target::AtMost(64.0)),
        row(("arrived", "records"), came.load(Ordering::Relaxed) as f64),
    ])
}

/// A collector that accepts everything, on the CPUs that the benchmark leaves free.
struct Collector {
    endpoint: String,
    _runtime: Runtime,
}

struct Sink;

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        _request: Request<ExportTraceServiceRequest>,
    ) -> std::result::Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn start() -> Result<Self> {
        let runtime = multi_thread()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let server = Server::builder().add_service(TraceServiceServer::new(Sink));
        runtime.spawn(async move {
            let incoming = TcpIncoming::from(listener);
            // The server ends with the runtime.
            let _ = server.serve_with_incoming(incoming).await;
        });
        Ok(Self {
            endpoint,
            _runtime: runtime,
        })
    }
}
