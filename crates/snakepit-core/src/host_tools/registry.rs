//! Host tools by name: global ones and those of sessions.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{HostTool, HostToolInfo, RegisterError};
use crate::id::SessionId;
use crate::state::Session;
use crate::value::{metadata, names};

/// Largest number of bytes of the name of a tool.
const MAX_NAME: usize = 64;

type Tools = BTreeMap<Arc<str>, Arc<HostTool>>;

pub(super) struct Registry {
    limit: usize,
    tables: RwLock<Tables>,
}

#[derive(Default)]
struct Tables {
    global: Tools,
    /// The tools, with the generation of their session.
    sessions: HashMap<SessionId, (u64, Tools)>,
}

impl Registry {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            tables: RwLock::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_global(&self, tools: Vec<HostTool>) -> Result<(), RegisterError> {
        let tools = check(tools)?;
        merge(&mut self.write().global, tools, self.limit)
    }

    pub(super) fn add_for(
        &self,
        session: &Session,
        tools: Vec<HostTool>,
    ) -> Result<(), RegisterError> {
        let mut tools = tools;
        for tool in &mut tools {
            tool.info.of_session = true;
        }
        let tools = check(tools)?;
        let mut tables = self.write();
        let entry = tables.sessions.entry(session.id().clone()).or_default();
        if entry.0 != session.generation() {
            // Tools of an earlier session of this id, whose end has not been processed yet.
            *entry = (session.generation(), Tools::new());
        }
        merge(&mut entry.1, tools, self.limit)
    }

    pub(super) fn remove_global(&self, name: &str) -> bool {
        self.write().global.remove(name).is_some()
    }

    pub(super) fn remove_for(&self, session: &Session, name: &str) -> bool {
        let mut tables = self.write();
        let entry = tables.sessions.get_mut(session.id());
        entry
            .filter(|entry| entry.0 == session.generation())
            .is_some_and(|entry| entry.1.remove(name).is_some())
    }

    /// Drops the tools of a session that is over.
    pub(super) fn end(&self, session: &SessionId, generation: u64) {
        if !self.read().sessions.contains_key(session) {
            return;
        }
        let mut tables = self.write();
        if tables
            .sessions
            .get(session)
            .is_some_and(|entry| entry.0 == generation)
        {
            tables.sessions.remove(session);
        }
    }

    /// Returns true if a session sees a tool of this name that is exposed.
    pub(super) fn is_exposed(&self, session: Option<&SessionId>, name: &str) -> bool {
        let tables = self.read();
        let own = session.and_then(|session| tables.sessions.get(session));
        own.and_then(|(_, tools)| tools.get(name))
            .or_else(|| tables.global.get(name))
            .is_some_and(|tool| tool.info.exposed)
    }

    /// Returns the exposed tool of this name that a session sees. The error holds similar names.
    pub(super) fn find(
        &self,
        session: Option<&SessionId>,
        name: &str,
    ) -> Result<(Arc<str>, Arc<HostTool>), Vec<String>> {
        let tables = self.read();
        let own = session.and_then(|session| tables.sessions.get(session));
        let found = own
            .and_then(|(_, tools)| tools.get_key_value(name))
            .or_else(|| tables.global.get_key_value(name))
            .filter(|(_, tool)| tool.info.exposed);
        if let Some((name, tool)) = found {
            return Ok((Arc::clone(name), Arc::clone(tool)));
        }
        let tools = tables.seen_by(session).into_iter();
        let exposed = tools.filter(|(_, tool)| tool.info.exposed);
        let known = exposed.map(|(name, _)| Arc::clone(name));
        let known: Vec<_> = known.take(names::LOOKED_AT).collect();
        // Names are compared after the lock is released.
        drop(tables);
        Err(names::near(name, known.iter().map(|name| &**name)))
    }

    pub(super) fn list(&self, session: Option<&SessionId>, exposed: bool) -> Vec<HostToolInfo> {
        let tables = self.read();
        let tools = tables.seen_by(session);
        tools
            .into_values()
            .filter(|tool| tool.info.exposed || !exposed)
            .map(|tool| tool.info.clone())
            .collect()
    }
}

impl Tables {
    fn seen_by(&self, session: Option<&SessionId>) -> BTreeMap<&Arc<str>, &Arc<HostTool>> {
        let own = session.and_then(|session| self.sessions.get(session));
        let own = own.into_iter().flat_map(|(_, tools)| tools);
        self.global.iter().chain(own).collect()
    }
}

/// Checks everything that does not depend on the registered tools.
fn check(tools: Vec<HostTool>) -> Result<Tools, RegisterError> {
    let mut checked = Tools::new();
    for tool in tools {
        let name = &tool.info.name;
        if let Some(reason) = fault(name) {
            let name = names::short(name);
            return Err(RegisterError::Name { name, reason });
        }
        metadata::check(&tool.info.metadata).map_err(|source| RegisterError::Metadata {
            tool: name.clone(),
            source,
        })?;
        match checked.entry(name.as_str().into()) {
            Entry::Vacant(entry) => drop(entry.insert(Arc::new(tool))),
            Entry::Occupied(_) => return Err(RegisterError::Duplicate(tool.info.name)),
        }
    }
    Ok(checked)
}

fn fault(name: &str) -> Option<&'static str> {
    let Some(first) = name.bytes().next() else {
        return Some("is empty");
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.len() > MAX_NAME {
        Some("is longer than 64 bytes")
    } else if !first.is_ascii_alphanumeric() {
        Some("does not begin with a letter or a digit")
    } else if !name.bytes().all(known) {
        Some("has other characters than a-z A-Z 0-9 . _ -")
    } else {
        None
    }
}

/// Adds all tools, or none if one of them cannot be added.
fn merge(present: &mut Tools, new: Tools, limit: usize) -> Result<(), RegisterError> {
    if let Some(name) = new.keys().find(|name| present.contains_key(*name)) {
        return Err(RegisterError::Duplicate(name.to_string()));
    }
    let usage = present.len();
    if usage + new.len() > limit {
        return Err(RegisterError::TooMany { usage, limit });
    }
    present.extend(new);
    Ok(())
}
