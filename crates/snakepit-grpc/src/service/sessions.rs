//! Sessions, for clients.

use std::time::SystemTime;

use snakepit_core::id::SessionId;
use snakepit_core::state::{Session, SessionOptions};
use tonic::Status;

use super::server::Inner;
use super::status::from_state;
use super::tool_specs;
use crate::pb;
use crate::preamble::PROTOCOL_VERSION;

pub(super) fn ping(request: &pb::PingRequest) -> pb::PingResponse {
    pb::PingResponse {
        message: format!("pong: {}", super::status::shortened(&request.message, 1024)),
        server_time: Some(SystemTime::now().into()),
    }
}

impl Inner {
    /// Returns the session of a request that needs one.
    pub(super) fn session(&self, id: &str) -> Result<Session, Status> {
        self.state
            .sessions()
            .get(&SessionId::new(id))
            .map_err(from_state)
    }

    /// Returns the id of the session of a request that needs none. Fails if the session does not
    /// exist.
    pub(super) fn optional_session(&self, id: &str) -> Result<Option<SessionId>, Status> {
        if id.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.session(id)?.id().clone()))
    }

    pub(super) fn initialize_session(
        &self,
        request: pb::InitializeSessionRequest,
    ) -> Result<pb::InitializeSessionResponse, Status> {
        let mut options = SessionOptions::new();
        options.metadata = request.metadata.into_iter().collect();
        let sessions = self.state.sessions();
        let session = sessions
            .get_or_create(request.session_id, options)
            .map_err(from_state)?;
        let tools = self.state.tools().list_exposed(Some(session.id()));
        let specs = tools.into_iter().map(tool_specs::of_host_tool);
        Ok(pb::InitializeSessionResponse {
            success: true,
            error_message: String::new(),
            available_tools: specs.map(|spec| (spec.name.clone(), spec)).collect(),
        })
    }

    /// Ends a session. A session that does not exist is no error. `force` has no effect, because
    /// nothing is waited for.
    pub(super) fn cleanup_session(
        &self,
        request: pb::CleanupSessionRequest,
    ) -> Result<pb::CleanupSessionResponse, Status> {
        let id = SessionId::from(request.session_id);
        let mut cleaned = 0;
        if let Ok(session) = self.state.sessions().get(&id) {
            let tools = self.peers.count(&id);
            let info = session.info().map_err(from_state)?;
            if session.delete() == Ok(true) {
                cleaned = 1 + info.variables + info.programs + tools;
            }
        }
        Ok(pb::CleanupSessionResponse {
            success: true,
            resources_cleaned: i32::try_from(cleaned).unwrap_or(i32::MAX),
        })
    }

    pub(super) fn get_session(
        &self,
        request: pb::GetSessionRequest,
    ) -> Result<pb::GetSessionResponse, Status> {
        let session = self.session(&request.session_id)?;
        let info = session.info().map_err(from_state)?;
        let tools = self.state.tools().list_exposed(Some(&info.id)).len();
        let tools = tools + self.peers.count(&info.id);
        let created = SystemTime::now().checked_sub(info.age);
        Ok(pb::GetSessionResponse {
            session_id: request.session_id,
            metadata: info.metadata.into_iter().collect(),
            created_at: created.map(Into::into),
            tool_count: i32::try_from(tools).unwrap_or(i32::MAX),
        })
    }

    /// Extends the lifetime of a session, if it exists.
    pub(super) fn heartbeat(&self, request: pb::HeartbeatRequest) -> pb::HeartbeatResponse {
        let id = SessionId::from(request.session_id);
        pb::HeartbeatResponse {
            session_valid: self.state.sessions().get(&id).is_ok(),
            server_time: Some(SystemTime::now().into()),
        }
    }

    pub(super) fn describe(&self) -> pb::DescribeResponse {
        let mut capabilities = vec![
            "host_tools",
            "host_streams",
            "variables",
            "watch",
            "programs",
        ];
        let mut tools = Vec::new();
        if let Some(gateway) = &self.gateway {
            capabilities.extend(["execute", "stream", "many"]);
            tools = gateway.tools();
        }
        pb::DescribeResponse {
            protocol_version: PROTOCOL_VERSION,
            runtime: "snakepit".to_owned(),
            runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            tools: tools.into_iter().map(tool_specs::of_tool).collect(),
            capabilities: capabilities.into_iter().map(str::to_owned).collect(),
            ..pb::DescribeResponse::default()
        }
    }
}
