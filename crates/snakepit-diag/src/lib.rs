//! Reports on running hosts: state, bottlenecks, and advice.
//!
//! A program that uses snakepit serves its own state on a socket in its run directory, for its own
//! user only. There is no port and nothing to configure. This example requests the report of the
//! only host that runs here:
#![cfg_attr(feature = "admin", doc = "```no_run")]
#![cfg_attr(not(feature = "admin"), doc = "```ignore")]
//! # async fn ask(data_dir: &std::path::Path) -> Result<(), snakepit_diag::AdminError> {
//! use snakepit_diag::{Client, Hosts};
//!
//! let host = Hosts::find(data_dir)?.only()?;
//! let mut client = Client::connect(&host).await?;
//! let report = client.report().await?;
//! for finding in report.findings(None) {
//!     println!("{}: {}; {}", finding.severity, finding.what, finding.action);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Contents
//! - [`Report`] is the state of a host at one moment, as plain data that serialises: pools,
//!   workers, calls, memory, the machine.
//! - [`Report::findings`] lists problems and [`Report::recommendations`] lists improvements, each
//!   as a [`Finding`] with one thing to do. [`PoolReport::check_saturation`] measures how near a
//!   pool is to its limit. The rules are pure.
//! - [`ErrorReport`] lays out an error for people: what, where, and one thing to do.
//!   [`Explanation`] describes an error code.
//! - [`Scaling`] holds the resources that a machine offers to workers; [`Scaling::breaks_first`]
//!   names the limit that is reached first.
//! - `flame_graph` (feature `flamegraph`) draws a profile.
//! - `Hosts` and `Client` (feature `admin`) query hosts in other processes; `AdminServer` is the
//!   server. `Watch` compares consecutive reports of one host.
//! - `Check` (feature `admin`) checks the machine: the kernel, limits, and what dead hosts have
//!   left behind.
//! - `top` (feature `top`) is a live view in a terminal, `web` (feature `web`) one in a browser, or
//!   a file with the same content.
//!
//! # Limitations
//! One machine and one user: hosts are found through their data directory, and a host answers only
//! processes of its own user.
#![forbid(unsafe_code)]

#[cfg(feature = "admin")]
mod admin;
#[cfg(feature = "admin")]
mod doctor;
mod error_report;
mod explain;
mod finding;
#[cfg(feature = "flamegraph")]
mod flame_graph;
#[cfg(feature = "admin")]
mod live;
mod machine;
mod process;
#[cfg(feature = "admin")]
mod recorder;
mod render;
mod report;
mod rules;
mod saturation;
mod scaling;
mod text;
#[cfg(feature = "top")]
pub mod top;
#[cfg(feature = "admin")]
mod trace;
#[cfg(feature = "admin")]
mod untrusted_json;
#[cfg(feature = "web")]
pub mod web;

#[cfg(feature = "admin")]
pub use admin::{
    AdminError, AdminHost, AdminServer, Client, EndedHost, EventEntry, Found, Hosts, LogEntry,
    PROTOCOL, Profiled, Recorded, RunningHost, WorkerStacks,
};
#[cfg(feature = "admin")]
pub use doctor::{Check, CheckStatus};
pub use error_report::ErrorReport;
pub use explain::Explanation;
pub use finding::{Finding, Severity};
#[cfg(feature = "flamegraph")]
pub use flame_graph::flame_graph;
#[cfg(feature = "admin")]
pub use live::{Meter, ReelReader, ReelWriter, Trend, Watch};
pub use machine::Machine;
#[cfg(feature = "admin")]
pub use recorder::{RecordedCall, RecordedDeath, Recording};
pub use render::{Style, Table, render_findings, render_profile, render_report, render_seconds};
pub use report::{
    CallReport, Capacity, Counters, Death, HostReport, Memory, PoolReport, Queue, Report,
    SessionQueue, Threads, Times, WorkerReport, WorkerState,
};
pub use saturation::{Band, Saturation, THRESHOLD};
pub use scaling::{
    Breakpoint, Contention, Limit, ProfileTrial, Rate, Scaling, Step, Stop, Usage, WorkerCost,
    render_scaling,
};
#[cfg(feature = "admin")]
pub use trace::Trace;
