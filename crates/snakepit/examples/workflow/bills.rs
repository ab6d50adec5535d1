//! Python bills orders, calls this program for prices, and keeps its progress in a session. Halfway
//! its worker is killed. Another worker continues from the session's state, and watchers on both
//! sides see every change in order.

use std::collections::HashMap;
use std::error::Error;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use snakepit::{
    Constraints, HostTool, NewVariable, PoolHandle, Snakepit, ToolFailure, Value, VariableType,
    WatchFilter, WatchFrom, WatchItem, args,
};
use tokio::task::JoinSet;

/// A change as a watcher of the session records it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Seen {
    /// Number of the change.
    pub(crate) seq: u64,
    /// The variable.
    pub(crate) name: String,
    /// The value after the change.
    pub(crate) value: Value,
}

/// The result of the workflow.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The bill.
    pub(crate) total: f64,
    /// Reports that Python sent through the host tool.
    pub(crate) reports: Vec<String>,
    /// Changes seen by the watcher in this program, and by the one in Python.
    pub(crate) seen: (Vec<Seen>, Vec<Seen>),
    /// Process ids of the worker that was killed and of the one that continued.
    pub(crate) workers: (u32, u32),
}

#[derive(Clone, Serialize)]
struct Order {
    item: &'static str,
    count: u32,
}

#[derive(Deserialize)]
struct Billed {
    pid: u32,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Price {
    item: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Report {
    text: String,
    pid: u32,
}

/// Runs the workflow on a started host, after registering its tools.
///
/// # Errors
/// Any error of the host; none is expected.
pub(crate) async fn workflow(snakepit: &Snakepit) -> Result<Outcome, Box<dyn Error>> {
    let orders: Vec<Order> = ["apple", "pear", "plum", "fig", "quince", "lime"]
        .into_iter()
        .zip(1..)
        .map(|(item, count)| Order { item, count })
        .collect();

    // Two functions of this program that Python calls.
    let prices = HashMap::from([
        ("apple", 0.5),
        ("pear", 0.75),
        ("plum", 0.25),
        ("fig", 1.5),
        ("quince", 2.0),
        ("lime", 1.0),
    ]);
    let price = move |_, Price { item }| {
        let price = prices.get(item.as_str()).copied();
        price.ok_or_else(|| ToolFailure::new(format!("no shop sells `{item}`")))
    };
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let report = move |_, Report { text, pid }| {
        let mut reports = sink.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push(text);
        if reports.len() == 3 {
            // Kills the worker while it waits for this answer.
            Command::new("kill")
                .args(["-9", &pid.to_string()])
                .status()?;
        }
        Ok(())
    };
    snakepit.host_tools().register_all(vec![
        HostTool::sync("price", price)
            .description("Price of one item")
            .exposed(),
        HostTool::sync("report", report)
            .description("Records the billed amount")
            .exposed(),
    ])?;

    // State that outlives any worker.
    let session = snakepit.session("bill-42");
    let state = session.state()?;
    state.register(NewVariable::new("billed", VariableType::Integer, 0))?;
    let total = NewVariable::new("total", VariableType::Float, 0.0);
    state.register(total.constraints(Constraints::new().min(0.0)))?;
    let choices = Constraints::new().choices(["new", "watched", "done"]);
    let status = NewVariable::new("status", VariableType::Choice, "new");
    state.register(status.constraints(choices))?;

    // A watcher on each side.
    let mut changes = state.watch(WatchFilter::all(), WatchFrom::Now)?;
    let follower = session.clone();
    let mut in_python = JoinSet::new();
    in_python.spawn(async move {
        let arguments = args! { "until" => "done" };
        follower.execute::<Vec<Seen>>("follow", arguments).await
    });
    let mut here = Vec::new();
    here.extend(until(&mut changes, "watched").await?);

    // Python bills; during the third order its process is killed.
    let (billed, killed) = bill(&session, &orders).await;
    assert!(
        billed.is_err(),
        "the stream of a killed worker ends with an error"
    );
    // The session continues on another worker.
    let (billed, went_on) = bill(&session, &orders).await;
    billed?;

    here.extend(until(&mut changes, "done").await?);
    let in_python = in_python.join_next().await.ok_or("nobody follows")???;
    let total = state.variable("total")?;
    let Value::Float(total) = *total.value else {
        return Err("the total is not a number".into());
    };
    let reports = std::mem::take(&mut *reports.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Outcome {
        total,
        reports,
        seen: (here, in_python),
        workers: (killed, went_on),
    })
}

/// Returns the changes up to the one that sets `status` to this value.
async fn until(
    changes: &mut snakepit::ChangeStream,
    status: &str,
) -> Result<Vec<Seen>, Box<dyn Error>> {
    let mut seen = Vec::new();
    while let Some(item) = changes.next().await {
        let WatchItem::Change(change) = item? else {
            return Err("the watcher lost changes".into());
        };
        seen.push(Seen {
            seq: change.seq,
            name: change.name.to_string(),
            value: (*change.value).clone(),
        });
        if *change.name == *"status" && *change.value == Value::from(status) {
            return Ok(seen);
        }
    }
    Err("the session ended".into())
}

/// Bills the remaining orders. Returns the result and the worker's process id.
async fn bill(session: &PoolHandle, orders: &[Order]) -> (Result<(), snakepit::Error>, u32) {
    let arguments = args! { "orders" => orders };
    let mut worker = 0;
    let mut stream = match session.execute_stream::<Billed>("bill", arguments).await {
        Ok(stream) => stream,
        Err(error) => return (Err(error), worker),
    };
    while let Some(item) = stream.next().await {
        match item {
            Ok(billed) => worker = billed.pid,
            Err(error) => return (Err(error), worker),
        }
    }
    (Ok(()), worker)
}
