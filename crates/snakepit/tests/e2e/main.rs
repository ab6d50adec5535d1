//! The library and the program with real Python.
#![cfg_attr(
    feature = "process",
    expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")
)]

#[cfg(feature = "cli")]
mod adapter;
#[cfg(feature = "process")]
mod ahead;
mod async_slots;
#[cfg(feature = "process")]
mod bad_input;
#[cfg(feature = "cli")]
mod beginnings;
#[cfg(feature = "cli")]
mod begun;
#[cfg(feature = "bridge")]
mod bridge;
#[cfg(feature = "web")]
mod browser;
#[cfg(feature = "process")]
mod cancellation;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod cli_support;
mod cli_timeouts;
#[cfg(feature = "cli")]
mod compat;
#[cfg(feature = "cli")]
mod crash;
#[cfg(all(feature = "arrow", feature = "process"))]
mod data_frames;
#[cfg(all(feature = "bridge", feature = "process"))]
mod data_frames_grpc;
#[cfg(feature = "cli")]
mod diagnose;
#[cfg(feature = "cli")]
mod diagnostics;
#[cfg(feature = "cli")]
mod doctor;
#[cfg(feature = "config")]
mod environment;
#[cfg(feature = "process")]
mod events;
#[cfg(feature = "process")]
mod execute;
#[cfg(all(feature = "cli", feature = "otlp", feature = "prometheus"))]
mod exporters;
#[cfg(feature = "process")]
mod external_program;
#[cfg(feature = "diag")]
mod findings;
#[cfg(feature = "cli")]
mod foreign;
#[cfg(feature = "process")]
mod free_threading;
mod given_back;
mod health;
#[cfg(all(feature = "cli", feature = "config"))]
mod hints;
#[cfg(feature = "cli")]
mod known_names;
mod known_secrets;
mod large_answers;
#[cfg(feature = "process")]
mod leftovers;
#[cfg(feature = "process")]
mod limits;
#[cfg(feature = "process")]
mod markers;
#[cfg(feature = "cli")]
mod migrating;
#[cfg(feature = "process")]
mod mixed_load;
#[cfg(feature = "process")]
mod nested;
#[cfg(feature = "cli")]
mod new_project;
#[cfg(feature = "process")]
mod one_state;
#[cfg(feature = "process")]
mod original;
#[cfg(feature = "process")]
mod own_profile;
#[cfg(feature = "cli")]
mod prepared;
#[cfg(feature = "cli")]
mod printing;
#[cfg(feature = "cli")]
mod profile_command;
#[cfg(feature = "process")]
mod profiling;
#[cfg(feature = "process")]
mod python_telemetry;
#[cfg(feature = "cli")]
mod run_script;
#[cfg(feature = "cli")]
mod runs;
mod scripted;
#[cfg(feature = "process")]
mod sessions;
mod shell;
#[cfg(feature = "process")]
mod stacks;
#[cfg(feature = "cli")]
mod stopped_host;
#[cfg(feature = "process")]
mod stream;
#[cfg(feature = "process")]
mod support;
#[cfg(feature = "process")]
mod telemetry;
#[cfg(feature = "top")]
mod terminal;
#[cfg(feature = "process")]
mod thread_ends;
#[cfg(feature = "process")]
mod thread_profile;
#[cfg(feature = "top")]
mod top;
#[cfg(feature = "cli")]
mod trace_command;
#[cfg(feature = "cli")]
mod user_code;
#[cfg(feature = "process")]
mod values;
#[cfg(all(feature = "arrow", feature = "process"))]
mod values_elements;
#[cfg(all(feature = "arrow", feature = "process"))]
mod values_frames;
#[cfg(all(feature = "arrow", feature = "process"))]
mod values_page;
#[cfg(all(feature = "arrow", feature = "process"))]
mod values_table;
#[cfg(feature = "web")]
mod web;
#[cfg(feature = "web")]
mod web_profile;
#[cfg(feature = "process")]
mod worker_life;
#[cfg(feature = "process")]
mod workflow;
