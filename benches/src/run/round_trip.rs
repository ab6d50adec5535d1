//! Echo of 32 bytes through `Snakepit::execute`: how long does a small call take, and how many fit
//! into a second?

use std::time::Duration;

use serde_json::json;
use snakepit_grpc::pb::PingRequest;
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, OURS, Series, alternate};
use crate::floor::Socket;
use crate::host::{Host, current_thread, multi_thread};
use crate::load::{closed, open};
use crate::peer::Peer;
use crate::placement::{move_process, on_cpu, two_cpus};
use crate::row::{Row, Target};
use crate::run::{CALLS, metrics, rows};

const BENCH: &str = "round_trip";
const SIZE: usize = 32;

/// Name of our entrant with two workers, where it is measured beside one.
const TWO_WORKERS: &str = "two workers";

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let python = &plan.pythons.ours;
    let host = Host::start(multi_thread()?, python, 1)?;
    let one = contest(plan, &host, 1, 1)?;
    let many = contest(plan, &host, 64, 1)?;
    drop(host);
    let single = contest_of_two(plan, &Host::start(current_thread()?, python, 1)?, None)?;
    let two = contest(plan, &Host::start(multi_thread()?, python, 2)?, 64, 2)?;
    let crowd = crowd(plan)?;

    let of_one = [
        ("p50", Target::FloorAtMost(1.5, 0.0)),
        ("rate", Target::PeerAtLeast("ppe", 2.5)),
        ("rate", Target::PeerAtLeast("grpc.aio", 4.0)),
    ];
    // Without calls ahead of their turn one worker reaches 6 times the peer's rate.
    let of_many = [("rate", Target::PeerAtLeast("ppe", 9.0))];
    let of_two = [("rate", Target::PeerAtLeast("ppe", 3.0))];
    let mut table = rows((BENCH, "1 in flight, 1 worker"), &CALLS, &one, &of_one);
    table.extend(rows(
        (BENCH, "1 in flight, one-thread runtime"),
        &CALLS,
        &single,
        &[],
    ));
    let (placed, rate) = placed(plan)?;
    table.extend(placed);
    table.extend(rows(
        (BENCH, "64 callers, 1 worker"),
        &CALLS,
        &many,
        &of_many,
    ));
    table.extend(rows(
        (BENCH, "64 callers, 1 worker beside 2"),
        &CALLS,
        &crowd,
        &[],
    ));
    table.extend(rows(
        (BENCH, "64 callers, 2 workers"),
        &CALLS,
        &two,
        &of_two,
    ));
    // Random arrivals spread over the CPUs, so the closed loop on two CPUs sets the rate.
    let rate = rate.or(one.median(OURS, "rate")).unwrap_or(1000.0) / 2.0;
    let open = open_loop(plan, &Host::start(multi_thread()?, python, 1)?, rate)?;
    let case = "open loop at half the rate on two CPUs";
    table.extend(rows((BENCH, case), &CALLS, &open, &[]));
    Ok(table)
}

/// Compares ours, the floor (for one caller) and all available peers.
fn contest(plan: &Plan, host: &Host, callers: usize, workers: usize) -> Result<Series> {
    let mut socket = Socket::start(&plan.pythons.ours, SIZE)?;
    let grpc = if workers == 1 {
        Grpc::start(plan)?
    } else {
        None
    };
    let mut entrants = vec![ours(plan, host, callers)];
    if callers == 1 {
        entrants.push(Entrant::floor(|| socket.round(plan.turn)));
    }
    let seconds = plan.turn.as_secs_f64();
    let question = json!({"op": "closed", "callers": callers, "seconds": seconds, "size": SIZE});
    for kind in ["ppe", "loky", "pebble", "ray"] {
        let arguments = [kind.to_owned(), workers.to_string()];
        if let Some(mut peer) = Peer::start(&plan.pythons.peers, "pools.py", &arguments)? {
            let question = question.clone();
            entrants.push(Entrant::new(kind, move || {
                peer.figures(&question, &metrics())
            }));
        }
    }
    if let Some(grpc) = &grpc {
        entrants.push(Entrant::new("grpc.aio", || grpc.round(plan, callers)));
    }
    alternate(plan.rounds, &mut entrants)
}

/// Compares 64 callers of one worker with 64 of two, in turns: the loss of one worker is the time
/// that it sleeps between two calls.
fn crowd(plan: &Plan) -> Result<Series> {
    let python = &plan.pythons.ours;
    let one = Host::start(multi_thread()?, python, 1)?;
    let two = Host::start(multi_thread()?, python, 2)?;
    let both = Entrant::new(TWO_WORKERS, || round(&two, 64, plan.turn));
    alternate(plan.rounds, &mut [ours(plan, &one, 64), both])
}

/// Compares ours and the floor only; with a CPU, both workers run there.
fn contest_of_two(plan: &Plan, host: &Host, cpu: Option<usize>) -> Result<Series> {
    let mut socket = Socket::start(&plan.pythons.ours, SIZE)?;
    if let Some(cpu) = cpu {
        for pid in host.pids().into_iter().chain([socket.pid()]) {
            move_process(pid, cpu)?;
        }
    }
    let floor = Entrant::floor(|| socket.round(plan.turn));
    alternate(plan.rounds, &mut [ours(plan, host, 1), floor])
}

/// Measures one call at a time with both ends on one CPU, and with each on its own. Without
/// placement, the kernel chooses one of the two for a while, and the floor varies by a factor of
/// ten. Also returns the calls a second on two CPUs.
fn placed(plan: &Plan) -> Result<(Vec<Row>, Option<f64>)> {
    let Some([here, there]) = two_cpus()? else {
        return Ok((Vec::new(), None));
    };
    let measure = |cpu| {
        on_cpu(here, || {
            let host = Host::start(multi_thread()?, &plan.pythons.ours, 1)?;
            contest_of_two(plan, &host, Some(cpu))
        })
    };
    let (same, other) = (measure(here)?, measure(there)?);
    let target = [("p50", Target::FloorAtMost(1.5, 0.0))];
    let mut table = rows(
        (BENCH, "1 in flight, both ends on one CPU"),
        &CALLS,
        &same,
        &target,
    );
    table.extend(rows(
        (BENCH, "1 in flight, each end on its CPU"),
        &CALLS,
        &other,
        &target,
    ));
    Ok((table, other.median(OURS, "rate")))
}

fn ours<'a>(plan: &Plan, host: &'a Host, callers: usize) -> Entrant<'a> {
    let turn = plan.turn;
    Entrant::ours(move || round(host, callers, turn))
}

fn round(host: &Host, callers: usize, turn: Duration) -> Result<Figures> {
    let caller = host.caller();
    let call = move || caller.clone().echo();
    Ok(host
        .runtime()
        .block_on(closed(callers, turn, call))?
        .figures())
}

/// Measures latency under load: calls arrive at random at `rate` a second.
fn open_loop(plan: &Plan, host: &Host, rate: f64) -> Result<Series> {
    let round = || {
        let caller = host.caller();
        let call = move || caller.clone().echo();
        Ok(open(host.runtime().handle(), rate, plan.turn, call)?.figures())
    };
    alternate(plan.rounds, &mut [Entrant::ours(round)])
}

/// The original's link: a `grpc.aio` server in Python, a tonic client in Rust.
struct Grpc {
    client: BridgeServiceClient<Channel>,
    runtime: Runtime,
    _peer: Peer,
    _dir: TempDir,
}

impl Grpc {
    /// Starts both ends. `None` if the interpreter has no `grpc`.
    fn start(plan: &Plan) -> Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let address = format!("unix://{}", dir.path().join("grpc").display());
        let Some(peer) = Peer::start(&plan.pythons.peers, "grpc_echo.py", &[&address])? else {
            return Ok(None);
        };
        let runtime = multi_thread()?;
        let channel = runtime.block_on(Endpoint::from_shared(address)?.connect())?;
        Ok(Some(Self {
            client: BridgeServiceClient::new(channel),
            runtime,
            _peer: peer,
            _dir: dir,
        }))
    }

    fn round(&self, plan: &Plan, callers: usize) -> Result<Figures> {
        let client = self.client.clone();
        let call = move || {
            let mut client = client.clone();
            async move {
                client
                    .ping(PingRequest {
                        message: "x".repeat(SIZE),
                    })
                    .await?;
                Ok(())
            }
        };
        Ok(self
            .runtime
            .block_on(closed(callers, plan.turn, call))?
            .figures())
    }
}
