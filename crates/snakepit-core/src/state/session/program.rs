//! Programs: values of any kind under a name, of one session or global.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::data::{Data, Program};
use super::shard::LiveSession;
use super::store::{Access, Store};
use super::{Quota, Session, StateError};
use crate::value::{Payload, Value, deep_bytes, names};

/// Bytes counted for each program in addition to its name and value.
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

/// Returns the error of an unknown name; `known` are the names to suggest.
fn unknown(name: &str, known: &[Arc<str>]) -> StateError {
    StateError::UnknownProgram {
        name: names::short(name),
        near: names::near(name, known.iter().map(|name| &**name)),
    }
}

/// Returns names from which to choose suggestions. They are copied under the lock and compared
/// after it.
fn candidates(programs: Option<&BTreeMap<Arc<str>, Program>>) -> Vec<Arc<str>> {
    let names = programs.into_iter().flat_map(BTreeMap::keys);
    names.take(names::LOOKED_AT).map(Arc::clone).collect()
}

impl Session {
    /// Stores a program; replaces one of the same name.
    ///
    /// # Errors
    /// The session is over, [`StateError::Quota`], [`StateError::Invalid`] name or value.
    pub fn put_program(&self, name: &str, program: Value) -> Result<(), StateError> {
        let program = self::program(name, program)?;
        let bytes = program.bytes;
        // The old program is dropped after the lock is released.
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
        self.store().report_stored(Some(&self.id), name, bytes);
        Ok(())
    }

    /// Returns a program of this session.
    ///
    /// # Errors
    /// The session is over, [`StateError::UnknownProgram`].
    pub fn program(&self, name: &str) -> Result<Arc<Value>, StateError> {
        let found = self.with(Access::Touch, |live| {
            let programs = live.data.as_ref().map(|data| &data.programs);
            let found = programs.and_then(|programs| programs.get(name));
            let found = found.map(|program| Arc::clone(&program.value));
            found.ok_or_else(|| candidates(programs))
        })?;
        let found = found.map_err(|known| unknown(name, &known))?;
        self.store().report_retrieved(Some(&self.id), name);
        Ok(found)
    }

    /// Deletes a program of this session. Returns `false` if there is none of this name.
    ///
    /// # Errors
    /// The session is over.
    pub fn delete_program(&self, name: &str) -> Result<bool, StateError> {
        let old = self.try_with(Access::Touch, |live: &mut LiveSession| {
            let programs = live
                .data
                .as_mut()
                .map(|data: &mut Box<Data>| &mut data.programs);
            let Some(old) = programs.and_then(|programs| programs.remove(name)) else {
                return Ok(None);
            };
            live.charge(self.store(), 0, old.bytes)?;
            Ok(Some(old))
        })?;
        if old.is_some() {
            self.store().report_deleted(Some(&self.id), name);
        }
        Ok(old.is_some())
    }

    /// Returns the names of the programs of this session, in order.
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
    fn globals(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Program>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the programs of an open store. Closing sets its flag before it takes the lock.
    fn open_globals(&self) -> Result<MutexGuard<'_, BTreeMap<Arc<str>, Program>>, StateError> {
        let programs = self.globals();
        if self.is_closed() {
            return Err(StateError::Closed);
        }
        Ok(programs)
    }

    pub(super) fn global_programs(&self) -> usize {
        self.globals().len()
    }

    /// Drops all programs of a closed store.
    pub(super) fn drop_programs(&self) {
        let programs = std::mem::take(&mut *self.globals());
        let bytes = programs.values().map(|program| program.bytes).sum();
        self.counters.release(bytes);
    }

    pub(super) fn put_program(&self, name: &str, program: Value) -> Result<(), StateError> {
        let program = self::program(name, program)?;
        let bytes = program.bytes;
        let mut programs = self.open_globals()?;
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
        self.report_stored(None, name, bytes);
        Ok(())
    }

    pub(super) fn program(&self, name: &str) -> Result<Arc<Value>, StateError> {
        let programs = self.open_globals()?;
        if let Some(program) = programs.get(name) {
            let value = Arc::clone(&program.value);
            drop(programs);
            self.report_retrieved(None, name);
            return Ok(value);
        }
        let known = candidates(Some(&programs));
        drop(programs);
        Err(unknown(name, &known))
    }

    pub(super) fn delete_program(&self, name: &str) -> Result<bool, StateError> {
        let old = self.open_globals()?.remove(name);
        if let Some(old) = &old {
            self.counters.release(old.bytes);
            self.report_deleted(None, name);
        }
        Ok(old.is_some())
    }

    pub(super) fn programs(&self) -> Result<Vec<String>, StateError> {
        let programs = self.open_globals()?;
        Ok(programs.keys().map(|name| (**name).to_owned()).collect())
    }
}
