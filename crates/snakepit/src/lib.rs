//! Run Python functions in pools of worker processes, as if the code were local.
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
//! - [`Snakepit`] is the running whole; [`SnakepitBuilder`] and [`PoolBuilder`] describe it, or [`Config`] reads it from
//!   `snakepit.toml` and the environment.
//! - [`PoolHandle`] is one pool, with or without a session; it has the same methods as [`Snakepit`], which stands for its default pool.
//! - Arguments are anything that serialises: a struct, a map or [`args!`] gives keyword arguments, a tuple or an array gives positional
//!   ones, `()` gives none. Results are anything that deserialises, [`Value`] among them.
//! - A call fails with [`Error`], a start with [`BuildError`]; each has a stable [`ErrorCode`], and [`Report`] renders both for people.
//!
//! # Features
//! | feature | default | what it adds |
//! |---|---|---|
//! | `process` | yes | pools of Python worker processes |
//! | `config` | yes | `snakepit.toml` and `SNAKEPIT_*` |
//! | `cli` | no | the program `snakepit` |
//! | `full` | no | everything |
//!
//! # Limitations
//! - A session is a hint: its calls prefer the worker that had the last one, but do not wait for it.
//! - Workers are local processes; Unix only.
#![forbid(unsafe_code)]

mod args;
mod builder;
#[cfg(feature = "config")]
mod config;
mod error;
mod first_start;
mod handle;
mod many;
mod pool_builder;
mod render;
mod runtime;
mod script;
mod shutdown;
mod stream;
mod text;

pub use snakepit_core as core;
#[cfg(feature = "process")]
pub use snakepit_profiles as profiles;

#[doc(inline)]
pub use snakepit_core::{
    Bytes, CallOptions, ConfigError, Containment, Date, DateTime, Decimal, Direction, Error,
    ErrorCode, Payload, PayloadError, Phase, Pool, PoolConfig, PoolName, RestartPolicy, SessionId,
    StartError, Status, Time, TimeDelta, ToolError, ToolInfo, Uuid, Value, WorkerId, WorkerProfile,
    WorkerStatus,
};
#[cfg(feature = "process")]
#[doc(inline)]
pub use snakepit_profiles::{Interpreter, ProcessProfile, PythonConfig};

pub use args::Args;
pub use builder::SnakepitBuilder;
#[cfg(feature = "config")]
pub use config::Config;
pub use error::BuildError;
pub use handle::PoolHandle;
pub use many::ManyResults;
pub use pool_builder::PoolBuilder;
pub use render::Report;
pub use runtime::Snakepit;
pub use script::ScriptEnd;
pub use shutdown::ShutdownReport;
pub use stream::ResultStream;
pub use text::{parse_duration, parse_size};
