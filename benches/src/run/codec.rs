//! Values to bytes and back: the host's codec, and the worker's beside pickle and json.

use std::path::Path;

use serde_json::json;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::peer::Peer;
use crate::row::Row;
use crate::run::rows;
use crate::work::{VALUES, decode, encode, nanoseconds, value};

const METRICS: [(&str, &str); 2] = [("encode", "ns"), ("decode", "ns")];

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut table = Vec::new();
    for name in VALUES {
        table.extend(host(plan, name)?);
    }
    // The worker's package in its usual place; without it, only the host is measured.
    let path = std::env::var_os("SNAKEPIT_BRIDGE")
        .map_or_else(|| Path::new(crate::HOME).join("../python"), Into::into);
    if let Some(mut peer) = Peer::start(&plan.pythons.ours, "value_codec.py", &[path])? {
        for name in VALUES {
            table.extend(worker(plan, &mut peer, name)?);
        }
    }
    Ok(table)
}

/// Measures the host's codec, beside `serde_json`.
fn host(plan: &Plan, name: &str) -> Result<Vec<Row>> {
    let value = value(name);
    let (payload, text) = (encode(&value), value.to_string());
    let turn = plan.turn / 10;
    let ours = || {
        let encode = nanoseconds(turn, || encode(&value));
        let decode = nanoseconds(turn, || decode(&payload));
        Ok(Figures::from([("encode", encode), ("decode", decode)]))
    };
    let json = || {
        let encode = nanoseconds(turn, || value.to_string());
        let decode = nanoseconds(turn, || serde_json::from_str::<serde_json::Value>(&text));
        Ok(Figures::from([("encode", encode), ("decode", decode)]))
    };
    let series = alternate(
        plan.rounds,
        &mut [Entrant::ours(ours), Entrant::new("json", json)],
    )?;
    Ok(rows(
        ("codec", &format!("host, {name}")),
        &METRICS,
        &series,
        &[],
    ))
}

/// Measures the worker's codec, in its interpreter.
fn worker(plan: &Plan, peer: &mut Peer, name: &str) -> Result<Vec<Row>> {
    let seconds = plan.turn.as_secs_f64() / 10.0;
    let peer = std::cell::RefCell::new(peer);
    let ask = |codec: &str| {
        let question = json!({"codec": codec, "value": name, "seconds": seconds});
        peer.borrow_mut().figures(&question, &["encode", "decode"])
    };
    let mut entrants = [
        Entrant::ours(|| ask("native")),
        Entrant::new("pickle", || ask("pickle")),
        Entrant::new("json", || ask("json")),
    ];
    let series = alternate(plan.rounds, &mut entrants)?;
    Ok(rows(
        ("codec", &format!("worker, {name}")),
        &METRICS,
        &series,
        &[],
    ))
}
