//! Programs: values of any kind under a name, of one session or global.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::data::{Data, Program, deep_bytes};
use super::shard::Live;
use super::store::{Access, Store};
use super::{Quota, Session, StateError};
use crate::{Payload, Value, names};

/// Bytes counted for each program beside its name and value.
const OVERHEAD: usize = 64;

fn program(name: &str, value: Value) -> Result<Program, StateError> {
    let what = || format!("program {:?}", names::short(name));
    if let Some(reason) = names::fault(name) {
        return Err(StateError::Invalid {
            what: what(),
            reason,
        });
    }
    let Some(bytes) = deep_bytes(&value, Payload::MAX_DEPTH) else {
        let reason = format!("nests deeper than {} levels", Payload::MAX_DEPTH);
        return Err(StateError::Invalid {
            what: what(),
            reason,
        });
    };
    Ok(Program {
        value: Arc::new(value),
        bytes: OVERHEAD + name.len() + bytes,
    })
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a Arc<str>>) -> StateError {
    StateError::UnknownProgram {
        name: names::short(name),
        near: names::near(name, known.map(|name| &**name)),
    }
}

impl Session {
    /// Stores a program; one of the same name is replaced.
    ///
    /// # Errors
    /// The session is over, [`StateError::Quota`], [`StateError::Invalid`] name or value.
    pub fn put_program(&self, name: &str, program: Value) -> Result<(), StateError> {
        let program = self::program(name, program)?;
        // The old one is dropped when the lock is free again.
        let _old = self.try_with(Access::Touch, |live| {
            let there = live.data.as_ref().map(|data| &data.programs);
            let n = there.map_or(0, |programs| programs.len());
            let old = there
                .and_then(|programs| programs.get(name))
                .map(|old| old.bytes);
            if old.is_none() {
                let limit = self.store().config.max_programs;
                self.store().counters.check(Quota::Programs, limit, n, 1)?;
            }
            live.charge(self.store(), program.bytes, old.unwrap_or(0))?;
            Ok(live.data_mut().programs.insert(name.into(), program))
        })?;
        Ok(())
    }

    /// A program of this session.
    ///
    /// # Errors
    /// The session is over, [`StateError::UnknownProgram`].
    pub fn program(&self, name: &str) -> Result<Arc<Value>, StateError> {
        self.try_with(Access::Touch, |live| {
            let programs = live.data.as_ref().map(|data| &data.programs);
            let found = programs.and_then(|programs| programs.get(name));
            let found = found.map(|program| Arc::clone(&program.value));
            found.ok_or_else(|| unknown(name, programs.into_iter().flat_map(|all| all.keys())))
        })
    }

    /// Deletes a program of this session.
    ///
    /// # Errors
    /// The session is over, [`StateError::UnknownProgram`].
    pub fn delete_program(&self, name: &str) -> Result<(), StateError> {
        let _old = self.try_with(Access::Touch, |live: &mut Live| {
            let programs = live
                .data
                .as_mut()
                .map(|data: &mut Box<Data>| &mut data.programs);
            let Some(old) = programs.and_then(|programs| programs.remove(name)) else {
                let known = live.data.iter().flat_map(|data| data.programs.keys());
                return Err(unknown(name, known));
            };
            live.charge(self.store(), 0, old.bytes)?;
            Ok(old)
        })?;
        Ok(())
    }

    /// Names of the programs of this session, in order.
    ///
    /// # Errors
    /// The session is over.
    pub fn programs(&self) -> Result<Vec<String>, StateError> {
        self.with(Access::Touch, |live| {
            let names = live.data.iter().flat_map(|data| data.programs.keys());
            names.map(|name| (**name).to_owned()).collect()
        })
    }
}

/// Global programs.
impl Store {
    fn globals(&self) -> MutexGuard<'_, std::collections::BTreeMap<Arc<str>, Program>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn global_programs(&self) -> usize {
        self.globals().len()
    }

    pub(super) fn put_program(&self, name: &str, program: Value) -> Result<(), StateError> {
        let program = self::program(name, program)?;
        if self.is_closed() {
            return Err(StateError::Closed);
        }
        let mut programs = self.globals();
        let old = programs.get(name).map(|old| old.bytes);
        let counters = &self.counters;
        if old.is_none() {
            let (limit, n) = (self.config.max_global_programs, programs.len());
            counters.check(Quota::GlobalPrograms, limit, n, 1)?;
        }
        let more = program.bytes.saturating_sub(old.unwrap_or(0));
        let limit = self.config.max_total_bytes;
        counters.reserve(&counters.bytes, Quota::TotalBytes, limit, more)?;
        counters.release(old.unwrap_or(0).saturating_sub(program.bytes));
        let old = programs.insert(name.into(), program);
        drop(programs);
        drop(old);
        Ok(())
    }

    pub(super) fn program(&self, name: &str) -> Result<Arc<Value>, StateError> {
        let programs = self.globals();
        let found = programs.get(name).map(|program| Arc::clone(&program.value));
        found.ok_or_else(|| unknown(name, programs.keys()))
    }

    pub(super) fn delete_program(&self, name: &str) -> Result<(), StateError> {
        let mut programs = self.globals();
        let old = programs
            .remove(name)
            .ok_or_else(|| unknown(name, programs.keys()))?;
        drop(programs);
        self.counters.release(old.bytes);
        Ok(())
    }

    pub(super) fn programs(&self) -> Vec<String> {
        self.globals()
            .keys()
            .map(|name| (**name).to_owned())
            .collect()
    }
}
