//! Changes of variables, for clients.

use futures_util::StreamExt as _;
use snakepit_core::state::{Change, ChangeKind, WatchFilter, WatchFrom, WatchItem};
use tonic::Status;
use tonic::codegen::BoxStream;

use super::server::Inner;
use super::status::{from_state, from_tool, invalid};
use super::values;
use crate::pb;

/// Largest number of names in one request.
const MAX_NAMES: usize = 10_000;

impl Inner {
    pub(super) fn watch_variables(
        &self,
        request: pb::WatchVariablesRequest,
    ) -> Result<BoxStream<pb::VariableChange>, Status> {
        let n = request.names.len();
        if n > MAX_NAMES {
            let message = format!("the request has {n} names, and at most {MAX_NAMES} are allowed");
            return Err(from_tool(invalid(message)));
        }
        let session = self.session(&request.session_id)?;
        let filter = if request.names.is_empty() {
            WatchFilter::all()
        } else {
            WatchFilter::names(request.names)
        };
        let from = request.after.map_or(WatchFrom::Now, WatchFrom::After);
        let changes = session.watch(filter, from).map_err(from_state)?;
        let messages = changes.map(|item| match item {
            Ok(WatchItem::Change(change)) => Ok(message(&change)),
            Ok(WatchItem::Lagged { missed }) => Ok(lagged(missed)),
            Err(error) => Err(from_state(error)),
        });
        Ok(messages.boxed())
    }
}

fn message(change: &Change) -> pb::VariableChange {
    use pb::variable_change::Kind;
    let (kind, value) = match change.kind {
        ChangeKind::Registered => (Kind::Registered, Some(&change.value)),
        ChangeKind::Set => (Kind::Set, Some(&change.value)),
        ChangeKind::Deleted => (Kind::Deleted, None),
    };
    let mut message = pb::VariableChange {
        seq: change.seq,
        name: change.name.to_string(),
        version: change.version,
        r#type: change.variable.name().to_owned(),
        value: value.map(|value| values::write(value)),
        origin: change.origin.to_string(),
        ..pb::VariableChange::default()
    };
    message.set_kind(kind);
    message
}

fn lagged(missed: u64) -> pb::VariableChange {
    let mut message = pb::VariableChange {
        missed,
        ..pb::VariableChange::default()
    };
    message.set_kind(pb::variable_change::Kind::Lagged);
    message
}
