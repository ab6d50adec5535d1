//! Metrics, traces and logs of pools of external workers: Prometheus and OTLP.
//!
//! ```no_run
//! # fn demo(
//! #     state: &snakepit_core::host_tools::HostState,
//! # ) -> Result<(), snakepit_telemetry::TelemetryError> {
//! use snakepit_telemetry::Telemetry;
//!
//! let telemetry = Telemetry::from_env()?;
//! telemetry.attach(state);
//! # Ok(())
//! # }
//! ```
//!
//! # Contents
//! - [`Telemetry`] is the running exporters. [`TelemetryBuilder`] and [`TelemetryConfig`] describe
//!   them, or the environment does: `OTEL_*` variables, and names of the original library.
//! - [`Metrics`] are exact, because they are the pools' own counters. Prometheus scrapes them,
//!   collectors receive them, and a program can read them.
//! - [`ListenAddress`] is the address of the endpoint for Prometheus.
//! - [`OtlpConfig`] describes the connection to a collector, [`SignalConfig`] the exceptions of one
//!   signal, [`RecordLimits`] the size of records, [`Sampling`] the choice of the calls that are
//!   traced.
//!
//! # Features
//! | feature | what it adds |
//! |---|---|
//! | `otlp` | traces, metrics and logs to OpenTelemetry collectors, over gRPC |
//! | `prometheus` | an HTTP endpoint with `/metrics` (OpenMetrics with exemplars), `/healthz` and `/readyz` |
//!
//! # Data that leaves the process
//! Names, times, sizes and counts are exported; arguments and results never are. Values of
//! attributes with the name of a secret are replaced by `<redacted>`; ids of sessions can be
//! hashed.
#![forbid(unsafe_code)]

#[cfg(any(feature = "otlp", feature = "prometheus"))]
mod background;
mod builder;
mod config;
mod environment;
mod error;
mod levels;
mod limits;
mod listen;
mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "prometheus")]
mod prometheus;
mod recorder;
mod redact;
mod sampling;
mod signal;
mod telemetry;

pub use builder::TelemetryBuilder;
pub use config::{OtlpConfig, TelemetryConfig};
pub use error::TelemetryError;
pub use limits::RecordLimits;
pub use listen::ListenAddress;
pub use metrics::{Desc, Exemplar, Family, Histogram, Kind, Labels, Metrics, Point, Value};
pub use sampling::Sampling;
pub use signal::{Compression, SignalConfig};
pub use telemetry::{FlushReport, Telemetry};

/// Target of telemetry's own logs.
const TARGET: &str = "snakepit::telemetry";
