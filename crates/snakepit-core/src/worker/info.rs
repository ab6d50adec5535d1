//! The description that a worker gives of itself and of its tools.

use serde::Serialize;

/// The description of a worker.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Runtime, for example `cpython`.
    pub runtime: String,
    /// Version of the runtime, for example `3.11.7`.
    pub runtime_version: String,
    /// Process id. `None` if the worker is not a local process.
    pub pid: Option<u32>,
    /// Calls that it can have at the same time, as reported by itself; 0 if it does not report
    /// them.
    pub slots: u16,
    /// True if an interpreter lock lets only one of its slots run at a time; without the lock its
    /// slots run in parallel. `None` if the worker does not report this.
    pub gil_enabled: Option<bool>,
    /// Module whose import has switched that lock on, in an interpreter that started without it;
    /// several candidates are separated by commas. `None` if that has not happened.
    pub gil_reenabled_by: Option<String>,
    /// Tools, in the order of their definition.
    pub tools: Vec<ToolInfo>,
    /// Names of tools without arguments that are its health checks: healthy if they return. They
    /// are not in `tools`.
    pub health_checks: Vec<String>,
}

/// One tool of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolInfo {
    /// Name by which it is called.
    pub name: String,
    /// First paragraph of its documentation.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: serde_json::Value,
    /// JSON Schema of the result; `null` if unknown.
    pub returns: serde_json::Value,
    /// The tool yields chunks.
    pub streaming: bool,
    /// The tool is asynchronous.
    pub is_async: bool,
    /// File where it is defined.
    pub file: String,
    /// Line where it is defined, from 1; 0 if unknown.
    pub line: u32,
    /// The definition, for example `def mean(xs: list[float]) -> float`.
    pub signature: String,
}
