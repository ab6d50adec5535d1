//! Runs Python functions in pools of worker processes, as if the code were local.
//!
//! ```no_run
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use snakepit::{Snakepit, args};
//!
//! let snakepit = Snakepit::builder().adapter("tools.py").start().await?;
//! let mean: f64 = snakepit.execute("mean", args! { "xs" => [1.0, 2.0, 3.0] }).await?;
//! assert_eq!(mean, 2.0);
//! snakepit.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! with `tools.py`:
//!
//! ```python
//! from snakepit_bridge import tool
//!
//! @tool
//! def mean(xs: list[float]) -> float:
//!     return sum(xs) / len(xs)
//! ```
//!
//! # Contents
//! - [`Snakepit`] is the running host. [`SnakepitBuilder`] and [`PoolBuilder`] configure it, or
//!   [`Config`] reads the configuration from `snakepit.toml` and the environment.
//! - [`PoolHandle`] is one pool, with or without a session. It has the same methods as
//!   [`Snakepit`], which stands for its default pool.
//! - [`Call`] is one call with its options; [`execute`](Snakepit::execute) and its relatives are
//!   shorthands for it.
//! - Arguments are anything that serialises: a struct, a map or [`args!`] gives keyword arguments,
//!   a tuple or an array gives positional ones, `()` gives none. Results are anything that
//!   deserialises, including [`Value`].
//! - A [session](PoolHandle::session) keeps [variables](Session) and programs for its calls.
//!   [`HostTool`] wraps a Rust function that tools can call.
//! - A call fails with [`Error`], a start with [`BuildError`]. Each has a stable [`ErrorCode`], and
//!   [`Report`] renders both for people.
//!
//! # Features
//! | feature | default | what it adds |
//! |---|---|---|
//! | `process` | yes | pools of Python worker processes |
//! | `config` | yes | `snakepit.toml` and `SNAKEPIT_*` |
//! | `command` | no | pools of executables in any language that serve gRPC |
//! | `arrow` | no | record batches of arrow-rs in and out of a [`DataFrame`] |
//! | `bridge` | no | the gRPC service for clients in other languages |
//! | `tls` | no | `serve_tls`: that service for other machines, encrypted |
//! | `telemetry` | no | metrics, traces and logs; `otlp` and `prometheus` select the exporters |
//! | `diag` | no | reports of a running host, also to other processes of the same user |
//! | `cli` | no | the program `snakepit` |
//! | `top` | no | `snakepit top`: a live view in the terminal |
//! | `web` | no | `snakepit web` and `snakepit report --html`: a page about a host |
//! | `full` | no | everything |
//!
//! # Limitations
//! - State that a tool keeps in the memory of its worker is lost with the worker; state in its
//!   session is not.
//! - Workers are local processes; Unix only.
#![forbid(unsafe_code)]

/// The blocks of the guide to data frames compile.
#[cfg(all(doctest, feature = "arrow"))]
#[doc = include_str!("../../../docs/dataframes.md")]
struct DataFramesGuide;

/// The block of the guide for users of the original library compiles.
#[cfg(all(doctest, feature = "process"))]
#[doc = include_str!("../../../docs/migrating.md")]
struct MigrationGuide;

mod adapted;
mod args;
#[cfg(feature = "arrow")]
mod batch_stream;
#[cfg(feature = "bridge")]
mod bridge;
mod builder;
mod by_name;
mod call;
#[cfg(feature = "command")]
mod command_pool;
#[cfg(feature = "config")]
mod config;
#[cfg(feature = "diag")]
mod diagnostics;
mod error;
mod handle;
mod many;
mod pool_builder;
#[cfg(feature = "process")]
mod python_profile;
mod runtime;
mod schema;
mod script;
mod shutdown;
mod source;
mod stream;
#[cfg(feature = "telemetry")]
mod telemetry;
mod text;
mod with_state;

pub use snakepit_core as core;
#[doc(inline)]
pub use snakepit_core::events;
#[cfg(feature = "ndarray")]
#[doc(inline)]
pub use snakepit_core::value::NdArray;
#[cfg(feature = "diag")]
pub use snakepit_diag as diag;
#[cfg(feature = "bridge")]
pub use snakepit_grpc::service as grpc;
#[cfg(feature = "process")]
pub use snakepit_profiles as profiles;
#[cfg(feature = "telemetry")]
pub use snakepit_telemetry as exporters;

#[doc(inline)]
pub use snakepit_core::call::CallOptions;
#[doc(inline)]
pub use snakepit_core::config::ConfigError;
#[doc(inline)]
pub use snakepit_core::error::{
    Death, Direction, Error, ErrorCode, Phase, StackFrame, Stacks, StartError, ThreadStack,
    ToolError,
};
#[doc(inline)]
pub use snakepit_core::events::TraceContext;
#[doc(inline)]
pub use snakepit_core::host_tools::{
    HostState, HostStateConfig, HostTool, HostToolConfig, HostToolInfo, HostTools, RegisterError,
    ToolContext, ToolFailure, ToolResult, ToolStream,
};
#[doc(inline)]
pub use snakepit_core::id::{PoolName, SessionId, WorkerId};
#[doc(inline)]
pub use snakepit_core::policy::{
    AutoscalePolicy, BreakerPolicy, Circuit, CircuitState, QuarantinePolicy, RetryPolicy,
    ScaleReason,
};
#[doc(inline)]
pub use snakepit_core::pool::{
    Affinity, CancelStats, Fairness, HealthConfig, HealthState, HealthStatus, HeartbeatConfig,
    HeartbeatState, HeartbeatStatus, Latency, MemoryDecision, MemoryStatus, Pool, PoolConfig,
    PoolState, QueueBound, RecycleBudget, RecycleConfig, RecycleError, RecycleMode, RecycleReason,
    RestartPolicy, Scaling, Status, TimeoutProfile, ToolConfig, WorkerState, WorkerStatus,
};
#[doc(inline)]
pub use snakepit_core::printable::Printable;
#[doc(inline)]
pub use snakepit_core::state::{
    Change, ChangeKind, ChangeStream, Constraints, MetadataUpdate, NewVariable, Origin, Quota,
    Session, SessionConfig, SessionCursor, SessionEnd, SessionInfo, SessionOptions, SessionPage,
    SessionStats, Sessions, SetVariable, StateError, Variable, VariableError, VariableType,
    WatchFilter, WatchFrom, WatchItem,
};
#[cfg(feature = "arrow")]
#[doc(inline)]
pub use snakepit_core::value::Batches;
#[doc(inline)]
pub use snakepit_core::value::{
    Bytes, DType, DataFrame, DataFrameError, DataFrameKind, Date, DateTime, Decimal, FrozenSet,
    JsonError, Metadata, MetadataError, Payload, PayloadError, Tensor, TensorElement, TensorError,
    Time, TimeDelta, TimeStep, TimeUnit, Unserializable, Uuid, Value,
};
#[doc(inline)]
pub use snakepit_core::worker::{Adapter, Containment, TelemetryControl, ToolInfo, WorkerProfile};
#[cfg(feature = "command")]
#[doc(inline)]
pub use snakepit_profiles::{CommandConfig, CommandProfile, CommandRuntime, Readiness};
#[cfg(feature = "process")]
#[doc(inline)]
pub use snakepit_profiles::{
    Compatibility, ContainmentMode, EventLoop, Installed, Interpreter, ProcessProfile,
    ProfileContext, ProfileFactory, ProfileKind, PythonConfig, Recommendation, ThreadProfile,
    ThreadSafetyChecks, Workload, recommend_profile,
};

#[cfg(feature = "telemetry")]
#[doc(inline)]
pub use snakepit_telemetry::{
    Compression, FlushReport, ListenAddress, OtlpConfig, RecordLimits, Sampling, SignalConfig,
    Telemetry, TelemetryConfig, TelemetryError,
};

pub use args::Args;
#[cfg(feature = "arrow")]
pub use batch_stream::BatchStream;
pub use builder::SnakepitBuilder;
pub use call::{Arguments, Call, IntoArguments};
#[cfg(feature = "command")]
pub use command_pool::CommandAdapter;
#[cfg(feature = "config")]
pub use config::Config;
pub use error::BuildError;
pub use handle::PoolHandle;
pub use many::ManyResults;
pub use pool_builder::PoolBuilder;
#[cfg(feature = "process")]
pub use python_profile::PythonProfile;
#[doc(inline)]
pub use snakepit_diag::ErrorReport as Report;

pub use runtime::{Snakepit, WeakSnakepit};
pub use script::ScriptEnd;
pub use shutdown::ShutdownReport;
pub use stream::ResultStream;
pub use text::{parse_duration, parse_size};
