//! The host as a gRPC service, for clients in any language.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use snakepit_grpc::service::{BridgeServer, Gateway, GatewayCall, GatewayStream, PeerTool};

use crate::by_name::{Found, check, find};
use crate::{
    CallOptions, Error, ErrorCode, Payload, PoolHandle, Session, Snakepit, ToolError, ToolInfo,
    WeakSnakepit,
};

impl Snakepit {
    /// Returns a server of `proto/snakepit_bridge.proto` for sessions, variables, programs and
    /// exposed host tools. `serve_unix` or `serve_tcp` starts it; dropping the returned handle
    /// stops it.
    pub fn bridge(&self) -> BridgeServer {
        BridgeServer::new(self.host_state().clone())
    }

    /// Returns the same server as [`bridge`](Self::bridge), but clients may also call the tools of
    /// all pools; the default pool is searched first. Anyone who can connect runs code as the user
    /// of this program.
    pub fn bridge_with_gateway(&self) -> BridgeServer {
        let gateway = PoolGateway {
            whole: self.downgrade(),
        };
        BridgeServer::with_gateway(self.host_state().clone(), Arc::new(gateway))
    }
}

/// The pools as a gateway for clients of the service.
#[derive(Debug)]
struct PoolGateway {
    whole: WeakSnakepit,
}

impl PoolGateway {
    /// Returns the pool that has the tool, and the options of the call. The arguments are checked
    /// before the call occupies a worker.
    async fn find(&self, call: &GatewayCall) -> Result<(PoolHandle, CallOptions), Error> {
        let mut options = CallOptions::new();
        options.session.clone_from(&call.session);
        options.timeout = call.timeout;
        options.trace = call.trace;
        options.trace_state.clone_from(&call.trace_state);
        options.correlation.clone_from(&call.correlation);
        options.metadata = (!call.metadata.is_empty()).then(|| Arc::new(call.metadata.clone()));
        let pools = self.whole.upgrade().map(|whole| whole.pools());
        let pools = pools.unwrap_or_default();
        if let Some(peer) = &call.peer
            && call.peer_is_worker
        {
            // A tool that a worker has registered. All workers of its pool have it, also after its
            // end.
            if let Some(pool) = pools.iter().find(|pool| is_of(peer, pool)) {
                return Ok((pool.clone(), options));
            }
        } else if let Some(peer) = &call.peer {
            let tool = &call.tool;
            let message =
                format!("`{peer}`, which has tool `{tool}`, is not a worker of this host");
            let error = ToolError::new(ErrorCode::UnknownTool, message);
            return Err(Error::Tool(Box::new(error)));
        }
        let found = find(&pools, &call.tool, &options).await?;
        let Some(Found { pool, tool, left }) = found else {
            let message = format!("no pool has a tool named `{}`", call.tool);
            let error = ToolError::new(ErrorCode::UnknownTool, message);
            return Err(Error::Tool(Box::new(error)));
        };
        check(&tool, &call.args)?;
        Ok((pool, left))
    }
}

/// Returns true if this worker is or was one of the pool: its id is the pool's name and a number.
fn is_of(worker: &str, pool: &PoolHandle) -> bool {
    let named = worker.rsplit_once('-');
    named.is_some_and(|(name, _)| name == pool.name().as_str())
}

#[async_trait]
impl Gateway for PoolGateway {
    async fn execute(&self, call: GatewayCall) -> Result<Payload, Error> {
        let (pool, options) = self.find(&call).await?;
        pool.raw().execute(call.tool, call.args, &options).await
    }

    async fn execute_stream(&self, call: GatewayCall) -> Result<GatewayStream, Error> {
        let (pool, options) = self.find(&call).await?;
        let stream = pool.raw().execute_stream(call.tool, call.args, &options);
        Ok(stream.await?.boxed())
    }

    fn tools(&self) -> Vec<ToolInfo> {
        let pools = self.whole.upgrade().map(|whole| whole.pools());
        let mut tools: Vec<ToolInfo> = Vec::new();
        for tool in pools.into_iter().flatten().flat_map(|pool| pool.tools()) {
            if tools.iter().all(|known| known.name != tool.name) {
                tools.push(tool);
            }
        }
        tools
    }

    /// Returns whether every pool has a ready worker: a client may call tools of any of them.
    fn is_ready(&self) -> bool {
        let whole = self.whole.upgrade();
        whole.is_some_and(|whole| whole.pools().iter().all(|pool| pool.status().ready > 0))
    }

    /// Accepts the tools of every peer; those of workers of the pools can be called.
    fn register_tools(&self, _: &Session, _: &str, _: &[PeerTool]) -> Result<(), Box<ToolError>> {
        Ok(())
    }
}
