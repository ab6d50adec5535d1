//! Calls of tools by name, across host tools and pools.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use snakepit_core::host_tools::ToolCall;
use tokio::time::Instant;

use crate::text::nearest;
use crate::{
    CallOptions, Error, ErrorCode, Payload, PoolHandle, SessionId, Snakepit, ToolError, ToolInfo,
    Value, schema,
};

impl Snakepit {
    /// Calls a tool by name for a session. Searches [exposed](crate::HostTool::exposed) host tools,
    /// then the default pool, then the other pools. The arguments of a worker's tool are checked
    /// against its schema before the call occupies a worker.
    ///
    /// # Errors
    /// Every [`Error`]; [`ErrorCode::UnknownTool`] if no tool has this name.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call; the tool may have run in part.
    pub async fn execute_tool<R: DeserializeOwned>(
        &self,
        session: impl Into<SessionId>,
        name: &str,
        args: impl Serialize,
    ) -> Result<R, Error> {
        let args = Payload::encode(&args)?;
        let result = self
            .call_by_name(CallOptions::new().session(session), name, args)
            .await?;
        Ok(result.decode()?)
    }

    /// Calls a tool by name with encoded arguments.
    pub(crate) async fn call_by_name(
        &self,
        options: CallOptions,
        name: &str,
        args: Payload,
    ) -> Result<Payload, Error> {
        let session = options.session.clone();
        if self.host_tools().is_exposed(session.as_ref(), name) {
            let mut call = ToolCall::new();
            call.session = options.session;
            call.deadline = options
                .timeout
                .and_then(|time| tokio::time::Instant::now().checked_add(time));
            let called = self.host_tools().call(call, name, args).await;
            return called.map_err(Error::Tool);
        }
        let pools = self.pools();
        if let Some(Found { pool, tool, left }) = find(&pools, name, &options).await? {
            check(&tool, &args)?;
            return pool.raw().execute(name, args, &left).await;
        }
        let local = self.host_tools().list_exposed(session.as_ref());
        let mut known: Vec<String> = local.into_iter().map(|tool| tool.name).collect();
        for pool in &pools {
            known.extend(pool.tools().into_iter().map(|tool| tool.name));
        }
        let message = format!("no host tool and no tool of a pool is named `{name}`");
        let mut error = ToolError::new(ErrorCode::UnknownTool, message);
        error.help = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "list the tools with `tools()` and `host_tools().list(..)`".to_owned(),
        };
        Err(Error::Tool(Box::new(error)))
    }
}

/// A tool of a pool, found by its name.
pub(crate) struct Found {
    pub(crate) pool: PoolHandle,
    pub(crate) tool: Arc<ToolInfo>,
    /// The options, with the remaining time.
    pub(crate) left: CallOptions,
}

/// Searches the pools for a tool, in their order. If the workers of a pool have never been ready,
/// waits for it, since it may have the tool. Returns the error of a pool that cannot be searched
/// only if no other pool has the tool.
pub(crate) async fn find(
    pools: &[PoolHandle],
    name: &str,
    options: &CallOptions,
) -> Result<Option<Found>, Error> {
    let (began, mut unknown) = (Instant::now(), None);
    let mut left = options.clone();
    for pool in pools {
        match pool.raw().find_tool(name, &left).await {
            Ok(Some(tool)) => {
                let pool = pool.clone();
                return Ok(Some(Found { pool, tool, left }));
            }
            Ok(None) => {}
            Err(error) => unknown = unknown.or(Some(error)),
        }
        left.timeout = options
            .timeout
            .map(|time| time.saturating_sub(began.elapsed()));
    }
    unknown.map_or(Ok(None), Err)
}

pub(crate) fn check(tool: &ToolInfo, args: &Payload) -> Result<(), Error> {
    let args: Value = args.decode()?;
    schema::check(tool, &args).map_err(|error| Error::Tool(Box::new(error)))
}
