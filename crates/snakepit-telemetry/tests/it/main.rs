//! Telemetry with real components: an OTLP receiver, a Prometheus server.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod collector;
mod endpoint;
mod environment;
mod faults;
mod otlp;
mod prometheus;
mod support;
mod tls;
