//! Variables of one session.

use std::sync::Arc;

use super::counters::Counters;
use super::data::Held;
use super::shard::LiveSession;
use super::store::Access;
use super::{Quota, Session, StateError};
use crate::state::change::log::Draft;
use crate::state::variable::spec::Spec;
use crate::state::{ChangeKind, NewVariable, SetVariable, Variable, VariableError};
use crate::value::{Value, metadata, names};

/// A value that was checked and is ready to be stored.
struct Checked {
    spec: Arc<Spec>,
    value: Arc<Value>,
    expected: Option<u64>,
}

impl Session {
    /// Registers a variable; its version is 1.
    ///
    /// # Errors
    /// The session is over, [`StateError::Variable`] (exists, wrong type, constraint violated,
    /// constraint unusable), [`StateError::Quota`], [`StateError::Invalid`] name,
    /// [`StateError::Metadata`].
    pub fn register(&self, variable: NewVariable) -> Result<Variable, StateError> {
        let NewVariable {
            name,
            kind,
            value,
            constraints,
            metadata,
        } = variable;
        if let Some(reason) = names::fault(&name) {
            let what = format!("variable name {:?}", names::short(&name));
            return Err(StateError::Invalid { what, reason });
        }
        metadata::check(&metadata)?;
        let spec = Spec::new(&name, kind, constraints, metadata)?;
        let value = Arc::new(spec.accept(value)?);
        let held = Held {
            spec: Arc::new(spec),
            value,
            version: 1,
        };
        let variable = held.to_variable();
        self.try_with(Access::Touch, |live| {
            let there = live.data.as_ref().map(|data| &data.variables);
            if there.is_some_and(|variables| variables.contains_key(&*name)) {
                return Err(VariableError::Exists(name).into());
            }
            let (limit, n) = (
                self.store().config.max_variables,
                there.map_or(0, |all| all.len()),
            );
            self.store().counters.check(Quota::Variables, limit, n, 1)?;
            live.charge(self.store(), held.bytes(), 0)?;
            self.log(live, ChangeKind::Registered, &held);
            live.data_mut()
                .variables
                .insert(Arc::clone(&held.spec.name), held);
            live.data_mut().log.wake();
            Ok(())
        })?;
        self.report_changed(ChangeKind::Registered, &variable.name, 1);
        Ok(variable)
    }

    /// Returns a variable.
    ///
    /// # Errors
    /// The session is over, [`VariableError::Unknown`].
    pub fn variable(&self, name: &str) -> Result<Variable, StateError> {
        let found = self.try_with(Access::Touch, |live| {
            held(live, name).map(Held::to_variable)
        });
        found.map_err(|error| self.suggest(error))
    }

    /// Returns several variables as of the same moment, in the order of `names`.
    ///
    /// # Errors
    /// The session is over. An unknown variable is an error in its place of the list.
    pub fn variables<S: AsRef<str>>(
        &self,
        names: &[S],
    ) -> Result<Vec<Result<Variable, StateError>>, StateError> {
        let mut found: Vec<_> = self.with(Access::Touch, |live| {
            let one = |name: &S| held(live, name.as_ref()).map(Held::to_variable);
            names.iter().map(one).collect()
        })?;
        self.suggest_once(&mut found);
        Ok(found)
    }

    /// Returns the variables whose names begin with `prefix`, in order, as of the same moment.
    ///
    /// # Errors
    /// The session is over.
    pub fn list_variables(&self, prefix: &str) -> Result<Vec<Variable>, StateError> {
        self.with(Access::Touch, |live| {
            let Some(data) = &live.data else {
                return Vec::new();
            };
            let from = (
                std::ops::Bound::Included(prefix),
                std::ops::Bound::Unbounded,
            );
            data.variables
                .range::<str, _>(from)
                .take_while(|(name, _)| name.starts_with(prefix))
                .map(|(_, held)| held.to_variable())
                .collect()
        })
    }

    /// Sets a variable.
    ///
    /// # Errors
    /// The session is over, [`StateError::Variable`] (unknown, wrong type, constraint violated,
    /// stale version), [`StateError::Quota`].
    pub fn set(
        &self,
        name: &str,
        value: impl Into<Value>,
        expected_version: Option<u64>,
    ) -> Result<Variable, StateError> {
        let mut item = SetVariable::new(name, value);
        item.expected_version = expected_version;
        self.set_one(item).map_err(|error| self.suggest(error))
    }

    /// Sets several variables independently. Returns a result for each, in order.
    ///
    /// # Errors
    /// The session is over.
    pub fn set_each(
        &self,
        items: Vec<SetVariable>,
    ) -> Result<Vec<Result<Variable, StateError>>, StateError> {
        self.touch()?;
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            let result = self.set_one(item);
            if let Err(error) = &result
                && error.is_end()
            {
                return Err(error.clone());
            }
            results.push(result);
        }
        self.suggest_once(&mut results);
        Ok(results)
    }

    fn set_one(&self, item: SetVariable) -> Result<Variable, StateError> {
        let mut set = self.try_set_all(vec![item])?;
        Ok(set.pop().expect("one item, one variable"))
    }

    /// Sets several variables, or none if one of them cannot be set; readers see all of the changes
    /// or none. Each name may occur once.
    ///
    /// # Errors
    /// As [`set`](Self::set), for the first item that cannot be set.
    pub fn set_all(&self, items: Vec<SetVariable>) -> Result<Vec<Variable>, StateError> {
        let mut names: Vec<_> = items.iter().map(|item| &*item.name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!("variable {:?}", names::short(twice[0]));
            let reason = "occurs twice in the batch".into();
            return Err(StateError::Invalid { what, reason });
        }
        drop(names);
        self.try_set_all(items).map_err(|error| self.suggest(error))
    }

    /// Sets variables as [`set_all`](Self::set_all) does. The names must differ; the error of an
    /// unknown variable has no suggestions yet.
    fn try_set_all(&self, items: Vec<SetVariable>) -> Result<Vec<Variable>, StateError> {
        let mut specs: Vec<Arc<Spec>> = self.try_with(Access::Touch, |live| {
            let spec = |item: &SetVariable| Ok(Arc::clone(&held(live, &item.name)?.spec));
            items.iter().map(spec).collect::<Result<_, StateError>>()
        })?;
        // Checked without the lock, since it may take long. If a variable is registered anew
        // meanwhile, its value is checked again.
        let mut values: Vec<_> = items
            .into_iter()
            .map(|item| (item.value, item.expected_version))
            .collect();
        loop {
            let checked: Vec<_> = specs
                .iter()
                .zip(values)
                .map(|(spec, (value, expected))| {
                    let (spec, value) = (Arc::clone(spec), Arc::new(spec.accept(value)?));
                    Ok(Checked {
                        spec,
                        value,
                        expected,
                    })
                })
                .collect::<Result<_, VariableError>>()?;
            let stored = self.with(Access::Touch, |live| self.store_all(live, &checked))??;
            match stored {
                Stored::Done(set) => {
                    for one in &set {
                        self.report_changed(ChangeKind::Set, &one.name, one.version);
                    }
                    return Ok(set);
                }
                Stored::Again(new) => specs = new,
            }
            values = checked
                .into_iter()
                .map(|one| (Arc::unwrap_or_clone(one.value), one.expected))
                .collect();
        }
    }

    fn store_all(&self, live: &mut LiveSession, checked: &[Checked]) -> Result<Stored, StateError> {
        let (mut added, mut removed) = (0, 0);
        let mut specs = Vec::with_capacity(checked.len());
        for new in checked {
            let old = held(live, &new.spec.name)?;
            if let Some(expected) = new.expected.filter(|version| *version != old.version) {
                Counters::add(&self.store().counters.conflicts, 1);
                return Err(stale(old, expected));
            }
            specs.push(Arc::clone(&old.spec));
            removed += crate::value::value_bytes(&old.value);
            added += crate::value::value_bytes(&new.value);
        }
        if !checked
            .iter()
            .zip(&specs)
            .all(|(new, spec)| Arc::ptr_eq(&new.spec, spec))
        {
            return Ok(Stored::Again(specs));
        }
        live.charge(self.store(), added, removed)?;
        let mut set = Vec::with_capacity(checked.len());
        for new in checked {
            let held = live
                .data_mut()
                .variables
                .get_mut(&new.spec.name)
                .expect("it was just there");
            held.value = Arc::clone(&new.value);
            held.version += 1;
            let held = held.clone();
            self.log(live, ChangeKind::Set, &held);
            set.push(held.to_variable());
        }
        live.data_mut().log.wake();
        Ok(Stored::Done(set))
    }

    /// Replaces a value with the result of `change`; again if another writer was faster.
    ///
    /// # Errors
    /// As [`set`](Self::set), stale versions excepted.
    pub fn update_variable(
        &self,
        name: &str,
        mut change: impl FnMut(&Value) -> Value,
    ) -> Result<Variable, StateError> {
        loop {
            let now = self.variable(name)?;
            match self.set(name, change(&now.value), Some(now.version)) {
                Err(StateError::Variable(error))
                    if matches!(*error, VariableError::StaleVersion { .. }) => {}
                other => return other,
            }
        }
    }

    /// Deletes a variable; with `expected_version`, only if this is its version. Returns `false` if
    /// there is none of this name.
    ///
    /// # Errors
    /// The session is over, [`StateError::Variable`] (stale version, or unknown variable with one).
    pub fn delete_variable(
        &self,
        name: &str,
        expected_version: Option<u64>,
    ) -> Result<bool, StateError> {
        let deleted = self.try_with(Access::Touch, |live| {
            let old = match held(live, name) {
                Ok(old) => old,
                Err(_) if expected_version.is_none() => return Ok(None),
                Err(error) => return Err(error),
            };
            if let Some(expected) = expected_version.filter(|version| *version != old.version) {
                Counters::add(&self.store().counters.conflicts, 1);
                return Err(stale(old, expected));
            }
            let old = live
                .data_mut()
                .variables
                .remove(name)
                .expect("it was just there");
            live.charge(self.store(), 0, old.bytes())?;
            self.log(live, ChangeKind::Deleted, &old);
            live.data_mut().log.wake();
            Ok(Some(old))
        });
        // The old value is dropped here, after the lock is released.
        let deleted = deleted.map_err(|error| self.suggest(error))?;
        if let Some(old) = &deleted {
            self.report_changed(ChangeKind::Deleted, &old.spec.name, old.version);
        }
        Ok(deleted.is_some())
    }

    /// Adds similar names to the error of an unknown variable. They are compared after the lock is
    /// released, at most once for each request.
    fn suggest(&self, error: StateError) -> StateError {
        let StateError::Variable(error) = error else {
            return error;
        };
        let VariableError::Unknown { name, .. } = *error else {
            return StateError::Variable(error);
        };
        let known: Vec<Arc<str>> = self
            .with(Access::Peek, |live| {
                let all = live.data.iter().flat_map(|data| data.variables.keys());
                all.take(names::LOOKED_AT).map(Arc::clone).collect()
            })
            .unwrap_or_default();
        let near = names::near(&name, known.iter().map(|name| &**name));
        let name = names::short(&name);
        VariableError::Unknown { name, near }.into()
    }

    /// Adds suggestions to the first unknown variable of a request.
    fn suggest_once(&self, results: &mut [Result<Variable, StateError>]) {
        let mut first = true;
        for result in results {
            let Err(StateError::Variable(error)) = result else {
                continue;
            };
            let VariableError::Unknown { name, .. } = &mut **error else {
                continue;
            };
            if std::mem::take(&mut first) {
                *result = Err(self.suggest(StateError::Variable(error.clone())));
            } else {
                *name = names::short(name);
            }
        }
    }

    fn log(&self, live: &mut LiveSession, kind: ChangeKind, held: &Held) {
        Counters::add(&self.store().counters.changes, 1);
        let draft = Draft {
            name: Arc::clone(&held.spec.name),
            kind,
            version: held.version,
            variable: held.spec.kind,
            value: Arc::clone(&held.value),
            origin: self.origin.clone(),
        };
        let config = &self.store().config;
        live.data_mut()
            .log
            .push(draft, config.log_changes, config.log_bytes);
    }
}

/// The result of storing a batch.
enum Stored {
    Done(Vec<Variable>),
    /// Some variables were registered anew since their values were checked.
    Again(Vec<Arc<Spec>>),
}

/// Returns the variable of this name. [`Session::suggest`] adds suggestions to the error.
fn held<'a>(live: &'a LiveSession, name: &str) -> Result<&'a Held, StateError> {
    let variables = live.data.as_ref().map(|data| &data.variables);
    let found = variables.and_then(|variables| variables.get(name));
    found.ok_or_else(|| {
        let (name, near) = (name.to_owned(), Vec::new());
        VariableError::Unknown { name, near }.into()
    })
}

fn stale(held: &Held, expected: u64) -> StateError {
    let (name, actual) = (held.spec.name.to_string(), held.version);
    VariableError::StaleVersion {
        name,
        expected,
        actual,
    }
    .into()
}
