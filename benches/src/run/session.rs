//! Calls from a tool into the host: what is the cost of a host tool or a variable, beside a call in
//! the other direction?

use serde::Deserialize;
use snakepit::{DType, HostTool, NewVariable, Tensor, VariableType, args};

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, Series, alternate};
use crate::host::{Host, multi_thread};
use crate::load::closed;
use crate::placement::{move_process, on_cpu, two_cpus};
use crate::row::{Row, Target};
use crate::run::rows;

const BENCH: &str = "session";
const ID: &str = "bench";

/// Elements of the large embedding: 1 MB of 32-bit floats.
const ELEMENTS: usize = 262_144;

/// The only metric: the median.
const P50: [(&str, &str); 1] = [("p50", "us")];

#[derive(Deserialize, schemars::JsonSchema)]
struct Number {
    n: i64,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut table = small(plan, "", None)?;
    if let Some([here, there]) = two_cpus()? {
        for (name, cpu) in [
            (", both ends on one CPU", here),
            (", each end on its CPU", there),
        ] {
            table.extend(on_cpu(here, || small(plan, name, Some(cpu)))?);
        }
    }
    let host = host(plan)?;
    let cached = series(plan, &host, "cached", None)?;
    let at_most = [("p50", Target::AtMost(2.0))];
    table.extend(rows(
        (BENCH, "variable from the cache"),
        &P50,
        &cached,
        &at_most,
    ));
    let large = series(plan, &host, "embedding", Some("embedding_as_json"))?;
    let ten_times = [("p50", Target::PeerAtMost("embedding_as_json", 0.1))];
    let case = "1 MB embedding, set and get";
    table.extend(rows((BENCH, case), &P50, &large, &ten_times));
    Ok(table)
}

/// Compares a host tool with an echo, and a variable with the host tool; with a CPU, the worker
/// runs there.
fn small(plan: &Plan, place: &str, cpu: Option<usize>) -> Result<Vec<Row>> {
    let host = host(plan)?;
    if let Some(cpu) = cpu {
        for pid in host.pids() {
            move_process(pid, cpu)?;
        }
    }
    let turn = plan.turn;
    let echo = || {
        let caller = host.caller();
        let call = move || caller.clone().echo();
        let figures = host.runtime().block_on(closed(1, turn, call))?.figures();
        Ok(Figures::from([("p50", figures["p50"])]))
    };
    let tool = || measured(plan, &host, "host_tool");
    let calls = alternate(
        plan.rounds,
        &mut [Entrant::ours(tool), Entrant::floor(echo)],
    )?;
    let twice = [("p50", Target::FloorAtMost(2.0, 0.0))];
    let case = format!("host tool, beside an echo{place}");
    let mut table = rows((BENCH, &case), &P50, &calls, &twice);

    let variable = || measured(plan, &host, "variable");
    let mut entrants = [Entrant::ours(variable), Entrant::floor(tool)];
    let reads = alternate(plan.rounds, &mut entrants)?;
    let bound = [("p50", Target::FloorAtMost(1.5, 0.0))];
    let case = format!("variable from the host, beside a host tool{place}");
    table.extend(rows((BENCH, &case), &P50, &reads, &bound));
    Ok(table)
}

fn series(plan: &Plan, host: &Host, ours: &str, peer: Option<&'static str>) -> Result<Series> {
    let mut entrants = vec![Entrant::ours(|| measured(plan, host, ours))];
    if let Some(peer) = peer {
        entrants.push(Entrant::new(peer, move || measured(plan, host, peer)));
    }
    alternate(plan.rounds, &mut entrants)
}

/// Lets the tool of this name measure itself for one round.
fn measured(plan: &Plan, host: &Host, tool: &str) -> Result<Figures> {
    let seconds = plan.turn.as_secs_f64();
    let session = host.session(ID);
    let arguments = args! { "seconds" => seconds };
    let call = session.execute::<f64>(tool, arguments);
    let p50 = host.runtime().block_on(call)?;
    Ok(Figures::from([("p50", p50 * 1e6)]))
}

/// Starts one worker, one host tool, and a session with a small and a large variable.
fn host(plan: &Plan) -> Result<Host> {
    let host = Host::start(multi_thread()?, &plan.pythons.ours, 1)?;
    let increment = |_, Number { n }| async move { Ok(n + 1) };
    let tool = HostTool::asynchronous("increment", increment).exposed();
    host.host_tools().register(tool)?;
    let state = host.session(ID).state()?;
    state.register(NewVariable::new("small", VariableType::Integer, 7))?;
    let zeros = Tensor::new(DType::Float32, [ELEMENTS], vec![0_u8; 4 * ELEMENTS])?;
    state.register(NewVariable::new("large", VariableType::Embedding, zeros))?;
    state.register(NewVariable::new("text", VariableType::String, ""))?;
    Ok(host)
}
