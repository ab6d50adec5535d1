//! Hosts that end, with workers of other kinds than Python on the link.

use crate::host_death::killed;
use crate::record::Row;

#[path = "../e2e/foreign/installed.rs"]
pub(crate) mod installed;
#[path = "../../../snakepit-grpc/tests/it/venv.rs"]
mod venv;

#[test]
fn row_95_host_killed_with_workers_in_node() {
    let row = Row::new(95, "host SIGKILL, workers in Node");
    match installed::packages() {
        Some(_) => killed(row, "node"),
        None => row.skip("no workers in Node"),
    }
}

#[test]
fn row_95_host_killed_with_workers_on_grpcio() {
    let row = Row::new(95, "host SIGKILL, workers on grpcio");
    match installed::grpcio() {
        Some(_) => killed(row, "grpcio"),
        None => row.skip("no grpcio"),
    }
}

#[test]
fn row_95_host_killed_with_workers_of_json_lines() {
    killed(
        Row::new(95, "host SIGKILL, shell scripts of JSON lines"),
        "lines",
    );
}
