#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod affinity;
mod call_observer;
mod chain;
mod change;
mod code;
mod config;
mod data_frame;
mod error;
pub mod events;
mod fairness;
mod host_state;
mod host_tool;
mod id;
mod metadata;
mod names;
mod open_span;
mod payload;
mod policy;
mod pool;
mod printable;
pub mod profiling;
pub mod record;
mod request;
mod runtime;
mod schedule;
mod secret_names;
mod service;
mod session;
mod stacks;
mod tail;
mod telemetry_control;
mod tensor;
#[cfg(feature = "testing")]
pub mod testing;
mod trace_context;
mod trace_state;
mod value;
mod variable;
mod worker;

pub use affinity::Affinity;
pub use call_observer::{CallObserver, EndedCall, SentCall};
pub use chain::CallChain;
pub use change::{
    Change, ChangeBatch, ChangeKind, ChangeStream, Origin, WatchFilter, WatchFrom, WatchItem,
};
pub use code::ErrorCode;
pub use config::{ConfigError, PoolConfig, RestartPolicy, TimeoutProfile, ToolConfig};
#[cfg(feature = "arrow")]
pub use data_frame::Batches;
pub use data_frame::{DataFrame, DataFrameError, DataFrameKind};
pub use error::{Direction, Error, Phase, ToolError};
pub use fairness::Fairness;
pub use host_state::{HostState, HostStateConfig};
pub use host_tool::{
    HostTool, HostToolConfig, HostToolInfo, HostTools, RegisterError, ToolCall, ToolContext,
    ToolFailure, ToolResult, ToolStream,
};
pub use id::{CallId, PoolName, SessionId, Slot, WorkerId};
pub use metadata::{Metadata, MetadataError};
pub use names::near as similar_names;
pub use payload::{Encoding, Payload, PayloadError};
pub use policy::{
    AutoscalePolicy, BreakerPolicy, Circuit, CircuitState, Death, ExitStatus, QuarantinePolicy,
    RetryPolicy, ScaleReason,
};
pub use pool::{
    FirstStart, HealthConfig, HealthState, HealthStatus, HeartbeatConfig, HeartbeatState,
    HeartbeatStatus, Latency, ManyStream, MemoryDecision, MemoryStatus, Pool, PoolState,
    RecycleBudget, RecycleConfig, RecycleError, RecycleMode, RecycleReason, ReplyStream, Scaling,
    Status, Stops, WeakPool, WorkerState, WorkerStatus,
};
pub use printable::{Escaping, Printable};
pub use request::{CallOptions, ChunkStream, Request};
pub use runtime::current_runtime;
pub use schedule::QueueBound;
pub use secret_names::is_secret_name;
pub use service::{
    BreakerLayer, BreakerService, QuarantineLayer, QuarantineService, RetryLayer, RetryService,
};
pub use session::{
    MetadataUpdate, Quota, Session, SessionConfig, SessionCursor, SessionEnd, SessionHold,
    SessionInfo, SessionOptions, SessionPage, SessionStats, Sessions, StateError,
};
pub use stacks::{StackFrame, Stacks, ThreadStack};
pub use tail::{LogLine, Tail};
pub use telemetry_control::TelemetryControl;
#[cfg(feature = "ndarray")]
pub use tensor::NdArray;
pub use tensor::{DType, Tensor, TensorElement, TensorError, TimeStep, TimeUnit};
pub use trace_context::{TraceContext, TraceContextError};
pub use trace_state::TraceState;
pub use value::{
    Bytes, Date, DateTime, Decimal, FrozenSet, JsonError, JsonText, Time, TimeDelta,
    Unserializable, Uuid, Value,
};
pub use variable::{Constraints, NewVariable, SetVariable, Variable, VariableError, VariableType};
pub use worker::{
    CallError, Containment, ItemResult, Pulse, StartContext, StartError, StopStep, Stopped,
    ToolInfo, Worker, WorkerExit, WorkerInfo, WorkerProfile,
};
