#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod code;
mod config;
mod error;
pub mod event;
mod id;
mod payload;
mod pool;
mod request;
mod schedule;
mod service;
#[cfg(feature = "testing")]
pub mod testing;
mod value;
mod worker;

pub use code::ErrorCode;
pub use config::{ConfigError, PoolConfig, RestartPolicy};
pub use error::{Direction, Error, Phase, ToolError};
pub use id::{CallId, PoolName, SessionId, Slot, WorkerId};
pub use payload::{Encoding, Payload, PayloadError};
pub use pool::{
    Latency, ManyStream, Pool, PoolState, ReplyStream, Status, WorkerState, WorkerStatus,
};
pub use request::{CallOptions, ChunkStream, Request};
pub use value::{Bytes, Date, DateTime, Decimal, Time, TimeDelta, Uuid, Value};
pub use worker::{
    CallError, Containment, ItemResult, StartContext, StartError, ToolInfo, Worker, WorkerExit,
    WorkerInfo, WorkerProfile,
};
