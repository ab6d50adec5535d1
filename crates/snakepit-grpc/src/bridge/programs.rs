//! Programs: named values of the caller's session, or global ones.

use bytes::Bytes;
use serde::Deserialize;
use snakepit_core::error::ToolError;
use snakepit_core::value::Value;

use super::{HostBridge, answer, argument};
use crate::link::HostRequest;

#[derive(Default, Deserialize)]
struct Scope {
    #[serde(default)]
    global: bool,
}

#[derive(Deserialize)]
struct Put {
    value: Value,
    #[serde(default)]
    global: bool,
}

fn scope(request: &HostRequest) -> Result<Scope, Box<ToolError>> {
    Ok(argument::<Option<Scope>>(request)?.unwrap_or_default())
}

impl HostBridge {
    pub(super) fn program_put(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let Put { value, global } = argument(request)?;
        if global {
            self.state.sessions().put_program(&request.name, value)?;
        } else {
            self.session(request)?.put_program(&request.name, value)?;
        }
        answer(&())
    }

    pub(super) fn program_get(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let program = if scope(request)?.global {
            self.state.sessions().program(&request.name)?
        } else {
            self.session(request)?.program(&request.name)?
        };
        answer(&*program)
    }

    pub(super) fn program_delete(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let there = if scope(request)?.global {
            self.state.sessions().delete_program(&request.name)?
        } else {
            self.session(request)?.delete_program(&request.name)?
        };
        answer(&there)
    }

    pub(super) fn program_list(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let names = if scope(request)?.global {
            self.state.sessions().programs()?
        } else {
            self.session(request)?.programs()?
        };
        answer(&names)
    }
}
