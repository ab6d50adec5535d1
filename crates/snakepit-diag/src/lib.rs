//! What a running host does, why it is slow, and what to change.
//!
//! A program that uses snakepit serves a look into itself on a socket in its run directory, for its own user alone: no port, no
//! configuration. This asks the only host that runs here for its report:
//!
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
//! - [`Report`] is a host at one moment, as plain data that serialises: pools, workers, calls, memory, the machine.
//! - [`Report::findings`] says what is wrong, [`Report::recommendations`] what could be better, each as a [`Finding`] with one thing to
//!   do; [`PoolReport::check_saturation`] says how near a pool is to its limit. The rules are pure.
//! - [`ErrorReport`] lays out an error for people: what, where, and one thing to do. [`Explanation`] describes an error code.
//! - [`Scaling`] is what a machine was found to have for workers; [`Scaling::breaks_first`] says where it ends.
//! - `flame_graph` (feature `flamegraph`) draws a profile.
//! - `Hosts` and `Client` (feature `admin`) look into hosts of other processes; `AdminServer` is the other end. `Watch` sets looks at one
//!   host beside each other.
//! - `Check` (feature `admin`) looks at what the machine offers: the kernel, limits, and what dead hosts have left.
//! - `top` (feature `top`) is a live view in a terminal, `web` (feature `web`) one in a browser, or a file that shows the same.
//!
//! # Limitations
//! One machine and one user: a host is found through the directory of its records, and talks to processes of its own user.
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
#[cfg(feature = "web")]
pub mod web;

#[cfg(feature = "admin")]
pub use admin::{
    AdminError, AdminHost, AdminServer, Client, EventEntry, Hosts, LogEntry, PROTOCOL, Profiled,
    RunningHost, WorkerStacks,
};
#[cfg(feature = "admin")]
pub use doctor::{Check, Verdict};
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
