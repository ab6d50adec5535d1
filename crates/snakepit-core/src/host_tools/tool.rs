//! One function of the host, with its description.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::{Any, Arguments, Typed};
use super::{Fault, ToolContext, ToolResult, ToolStream, fault};
use crate::value::{Metadata, Payload, Value};

type Reply = Result<Payload, Fault>;

type Later = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The function of a tool, by the way it runs.
#[derive(Clone)]
pub(super) enum Run {
    Sync(Arc<dyn Fn(ToolContext, Payload) -> Reply + Send + Sync>),
    Async(Arc<dyn Fn(ToolContext, Payload) -> Later + Send + Sync>),
    Stream(Arc<dyn Fn(ToolContext, Payload) -> Result<ToolStream, Fault> + Send + Sync>),
}

/// A function of the host, ready to be registered.
///
/// Arguments are decoded by name into the fields of `A`, or by position in the order of its fields.
/// An argument that `A` does not have is an error.
#[derive(Clone)]
pub struct HostTool {
    pub(super) info: HostToolInfo,
    pub(super) run: Run,
}

/// The description of one host tool.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HostToolInfo {
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// JSON Schema of the arguments; `null` if unknown.
    pub parameters: serde_json::Value,
    /// JSON Schema of the result, or of one result of a stream; `null` if unknown.
    pub returns: serde_json::Value,
    /// The tool returns a stream of results.
    pub streaming: bool,
    /// Workers may see and call the tool.
    pub exposed: bool,
    /// The tool belongs to one session.
    pub of_session: bool,
    /// The metadata.
    pub metadata: Metadata,
}

fn encode<R: Serialize + 'static>(result: ToolResult<R>) -> Reply {
    let value = result.map_err(super::ToolFailure::into_error)?;
    Payload::encode(&value).map_err(fault)
}

fn schema<T: JsonSchema>() -> serde_json::Value {
    schemars::schema_for!(T).to_value()
}

impl HostTool {
    fn new(name: impl Into<String>, run: Run) -> Self {
        let info = HostToolInfo {
            name: name.into(),
            description: String::new(),
            parameters: serde_json::Value::Null,
            returns: serde_json::Value::Null,
            streaming: matches!(run, Run::Stream(_)),
            exposed: false,
            of_session: false,
            metadata: Metadata::new(),
        };
        Self { info, run }
    }

    fn typed<A: JsonSchema, R: JsonSchema>(mut self) -> Self {
        (self.info.parameters, self.info.returns) = (schema::<A>(), schema::<R>());
        self
    }

    fn with_sync<A: Arguments, R: Serialize + 'static>(
        name: impl Into<String>,
        args: A,
        run: impl Fn(ToolContext, A::Value) -> ToolResult<R> + Send + Sync + 'static,
    ) -> Self {
        let run = move |context, payload| encode(run(context, args.decode(&payload)?));
        Self::new(name, Run::Sync(Arc::new(run)))
    }

    fn with_async<A: Arguments, R: Serialize + 'static, T>(
        name: impl Into<String>,
        args: A,
        run: impl Fn(ToolContext, A::Value) -> T + Send + Sync + 'static,
    ) -> Self
    where
        T: Future<Output = ToolResult<R>> + Send + 'static,
    {
        let run = move |context, payload| -> Later {
            match args.decode(&payload) {
                Ok(args) => {
                    let running = run(context, args);
                    Box::pin(async move { encode(running.await) })
                }
                Err(error) => Box::pin(std::future::ready(Err(error))),
            }
        };
        Self::new(name, Run::Async(Arc::new(run)))
    }

    fn with_stream<A: Arguments, R: Serialize + 'static, S>(
        name: impl Into<String>,
        args: A,
        run: impl Fn(ToolContext, A::Value) -> S + Send + Sync + 'static,
    ) -> Self
    where
        S: Stream<Item = ToolResult<R>> + Send + 'static,
    {
        let run = move |context, payload| {
            let results = run(context, args.decode(&payload)?);
            Ok::<ToolStream, Fault>(Box::pin(results.map(encode)))
        };
        Self::new(name, Run::Stream(Arc::new(run)))
    }

    /// Creates a tool from a synchronous function. It runs on a thread where it may block. For a
    /// function that never blocks, [`asynchronous`](Self::asynchronous) is faster.
    pub fn sync<A, R, F>(name: impl Into<String>, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
        F: Fn(ToolContext, A) -> ToolResult<R> + Send + Sync + 'static,
    {
        Self::with_sync(name, Typed::<A>::new(&schema::<A>()), run).typed::<A, R>()
    }

    /// Creates a tool from an asynchronous function. It must not block: its deadline could not be
    /// enforced.
    pub fn asynchronous<A, R, F, T>(name: impl Into<String>, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
        F: Fn(ToolContext, A) -> T + Send + Sync + 'static,
        T: Future<Output = ToolResult<R>> + Send + 'static,
    {
        Self::with_async(name, Typed::<A>::new(&schema::<A>()), run).typed::<A, R>()
    }

    /// Creates a tool from a function that returns a stream of results.
    pub fn stream<A, R, F, S>(name: impl Into<String>, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        R: Serialize + JsonSchema + Send + 'static,
        F: Fn(ToolContext, A) -> S + Send + Sync + 'static,
        S: Stream<Item = ToolResult<R>> + Send + 'static,
    {
        Self::with_stream(name, Typed::<A>::new(&schema::<A>()), run).typed::<A, R>()
    }

    /// Creates a tool from a synchronous function of any arguments (a map or a list); describe them
    /// with [`parameters`](Self::parameters).
    pub fn dynamic<F>(name: impl Into<String>, run: F) -> Self
    where
        F: Fn(ToolContext, Value) -> ToolResult<Value> + Send + Sync + 'static,
    {
        Self::with_sync(name, Any, run)
    }

    /// Creates a tool from an asynchronous function of any arguments (a map or a list).
    pub fn dynamic_asynchronous<F, T>(name: impl Into<String>, run: F) -> Self
    where
        F: Fn(ToolContext, Value) -> T + Send + Sync + 'static,
        T: Future<Output = ToolResult<Value>> + Send + 'static,
    {
        Self::with_async(name, Any, run)
    }

    /// Creates a tool from a function of any arguments (a map or a list) that returns a stream of
    /// results.
    pub fn dynamic_stream<F, S>(name: impl Into<String>, run: F) -> Self
    where
        F: Fn(ToolContext, Value) -> S + Send + Sync + 'static,
        S: Stream<Item = ToolResult<Value>> + Send + 'static,
    {
        Self::with_stream(name, Any, run)
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.info.description = text.into();
        self
    }

    /// Sets the JSON Schema of the arguments, for callers to read. It is not enforced: the function
    /// itself checks its arguments.
    #[must_use]
    pub fn parameters(mut self, schema: serde_json::Value) -> Self {
        self.info.parameters = schema;
        self
    }

    /// Sets the JSON Schema of the result, or of one result of a stream.
    #[must_use]
    pub fn returns(mut self, schema: serde_json::Value) -> Self {
        self.info.returns = schema;
        self
    }

    /// Sets one entry of the metadata.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.info.metadata.insert(key.into(), value.into());
        self
    }

    /// Lets workers see and call the tool.
    #[must_use]
    pub const fn exposed(mut self) -> Self {
        self.info.exposed = true;
        self
    }
}

impl fmt::Debug for HostTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTool")
            .field("name", &self.info.name)
            .finish_non_exhaustive()
    }
}
