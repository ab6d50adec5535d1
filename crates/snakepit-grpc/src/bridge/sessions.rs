//! The session of the caller.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snakepit_core::error::ToolError;
use snakepit_core::state::MetadataUpdate;
use snakepit_core::value::Metadata;

use super::{HostBridge, answer, argument};
use crate::link::HostRequest;

#[derive(Serialize)]
struct Described<'a> {
    id: &'a str,
    metadata: Metadata,
    created_age_s: f64,
    ttl_s: f64,
    generation: u64,
    variables: usize,
    programs: usize,
}

#[derive(Deserialize)]
struct Update {
    metadata: Metadata,
    #[serde(default)]
    replace: bool,
}

impl HostBridge {
    pub(super) fn session_get(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let info = self.session(request)?.info()?;
        answer(&Described {
            id: info.id.as_str(),
            metadata: info.metadata,
            created_age_s: info.age.as_secs_f64(),
            ttl_s: info.ttl.as_secs_f64(),
            generation: info.generation,
            variables: info.variables,
            programs: info.programs,
        })
    }

    pub(super) fn session_update(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let Update { metadata, replace } = argument(request)?;
        let how = if replace {
            MetadataUpdate::Replace
        } else {
            MetadataUpdate::Merge
        };
        self.session(request)?.update(metadata, how)?;
        answer(&())
    }
}
