//! The first message of an executable: its tools.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value as Json;
use snakepit_grpc::pb;

/// Description that an executable gives of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Description {
    pub(super) tools: Vec<Tool>,
    /// Reads `{"cancel": id}`.
    #[serde(default)]
    pub(super) cancel: bool,
    /// Reads `{"session_ended": id}`.
    #[serde(default)]
    pub(super) sessions: bool,
    #[serde(default)]
    runtime: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    pub(super) name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Option<Json>,
    #[serde(default)]
    returns: Option<Json>,
    #[serde(default)]
    pub(super) streaming: bool,
}

impl Description {
    /// Reads a line. `None` if it is no JSON object.
    pub(super) fn parse(line: &str) -> Option<Result<Self, String>> {
        let json: Json = serde_json::from_str(line).ok().filter(Json::is_object)?;
        Some(
            serde_json::from_value(json)
                .map_err(|error| error.to_string())
                .and_then(Self::check),
        )
    }

    fn check(self) -> Result<Self, String> {
        let mut names = HashSet::new();
        match self.tools.iter().find(|tool| !names.insert(&tool.name)) {
            Some(tool) => Err(format!("two tools are named `{}`", tool.name)),
            None => Ok(self),
        }
    }

    /// Converts it into the description of a worker; `runtime` is the program if it names none.
    pub(super) fn message(&self, runtime: &str, slots: u32) -> pb::DescribeResponse {
        let mut capabilities = vec!["json", "stream", "many"];
        capabilities.extend(self.cancel.then_some("cancel"));
        capabilities.extend(self.sessions.then_some("sessions"));
        let text = |json: &Option<Json>| json.as_ref().map(Json::to_string).unwrap_or_default();
        let tools = self.tools.iter().map(|tool| pb::ToolSpec {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters_schema: text(&tool.parameters),
            returns_schema: text(&tool.returns),
            supports_streaming: tool.streaming,
            ..pb::ToolSpec::default()
        });
        pb::DescribeResponse {
            protocol_version: snakepit_grpc::preamble::PROTOCOL_VERSION,
            runtime: self.runtime.clone().unwrap_or_else(|| runtime.to_owned()),
            slots,
            pid: std::process::id(),
            tools: tools.collect(),
            capabilities: capabilities.into_iter().map(str::to_owned).collect(),
            ..pb::DescribeResponse::default()
        }
    }
}
