//! Bytes there and back: what is the cost of large values, beside copying them four times?

use std::time::Duration;

use serde_json::json;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::floor::four_copies;
use crate::host::{Host, multi_thread};
use crate::load::closed;
use crate::peer::Peer;
use crate::row::{Row, Target};
use crate::run::rows;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const SIZES: [(&str, usize); 5] = [
    ("1 KiB", KIB),
    ("64 KiB", 64 * KIB),
    ("1 MiB", MIB),
    ("10 MiB", 10 * MIB),
    ("64 MiB", 64 * MIB),
];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let host = Host::start(multi_thread()?, &plan.pythons.ours, 1)?;
    let mut table = Vec::new();
    for (name, size) in SIZES {
        table.extend(contest(plan, &host, name, size)?);
    }
    Ok(table)
}

fn contest(plan: &Plan, host: &Host, name: &str, size: usize) -> Result<Vec<Row>> {
    let bytes = snakepit::Bytes::from(vec![7_u8; size]);
    let ours = || {
        let (caller, bytes) = (host.caller(), bytes.clone());
        let call = move || caller.clone().echo_bytes(bytes.clone());
        let micros = host
            .runtime()
            .block_on(closed(1, plan.turn, call))?
            .figures()["p50"];
        Ok(Figures::from([("p50", micros / 1e3)]))
    };
    let copies = || Ok(four_copies(size, plan.turn.min(Duration::from_millis(200))));
    let mut entrants = vec![Entrant::ours(ours), Entrant::floor(copies)];
    for kind in ["ppe", "loky", "pebble", "ray"] {
        let arguments = [kind.to_owned(), "1".to_owned()];
        if let Some(mut peer) = Peer::start(&plan.pythons.peers, "pools.py", &arguments)? {
            let seconds = plan.turn.as_secs_f64();
            let question = json!({"op": "payload", "size": size, "seconds": seconds});
            entrants.push(Entrant::new(kind, move || {
                peer.figures(&question, &["p50"])
            }));
        }
    }
    let series = alternate(plan.rounds, &mut entrants)?;
    let mut targets = vec![("p50", Target::PeerAtMost("ppe", 1.0))];
    if size == 10 * MIB {
        targets.push(("p50", Target::FloorAtMost(3.0, 0.0)));
    }
    let case = format!("{name} of bytes there and back");
    Ok(rows(
        ("payload", &case),
        &[("p50", "ms")],
        &series,
        &targets,
    ))
}
