//! Sessions, variables and programs compared with a model that is slow and evidently correct, on a
//! paused clock.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use snakepit_core::error::ErrorCode;
use snakepit_core::state::{
    NewVariable, Session, SessionConfig, SessionOptions, Sessions, SetVariable, StateError,
    VariableType, WatchFilter,
};
use snakepit_core::value::Value;

#[derive(Clone, Debug)]
enum Step {
    Create {
        id: u8,
        ttl: u64,
    },
    Take(u8),
    Delete(u8),
    Advance(u64),
    Sweep,
    /// The operations below use a handle that was obtained before, valid or stale.
    Touch(usize),
    Register {
        handle: usize,
        name: u8,
        value: i64,
    },
    Set {
        handle: usize,
        items: Vec<(u8, i64, Option<u64>)>,
    },
    Get {
        handle: usize,
        name: u8,
    },
    Remove {
        handle: usize,
        name: u8,
    },
    PutProgram {
        handle: usize,
        name: u8,
        value: i64,
    },
    DeleteProgram {
        handle: usize,
        name: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (handle, name, value) = (any::<usize>(), 0_u8..3, -5_i64..5);
    let item = (name.clone(), value.clone(), prop::option::of(1_u64..4));
    prop_oneof![
        3 => (0_u8..3, 1_u64..20).prop_map(|(id, ttl)| Step::Create { id, ttl }),
        1 => (0_u8..3).prop_map(Step::Take),
        1 => (0_u8..3).prop_map(Step::Delete),
        3 => (1_u64..12).prop_map(Step::Advance),
        1 => Just(Step::Sweep),
        1 => handle.prop_map(Step::Touch),
        4 => (handle, name.clone(), value.clone()).prop_map(|(handle, name, value)| Step::Register { handle, name, value }),
        5 => (handle, prop::collection::vec(item, 1..3)).prop_map(|(handle, items)| Step::Set { handle, items }),
        2 => (handle, name.clone()).prop_map(|(handle, name)| Step::Get { handle, name }),
        1 => (handle, name.clone()).prop_map(|(handle, name)| Step::Remove { handle, name }),
        1 => (handle, name.clone(), value).prop_map(|(handle, name, value)| Step::PutProgram { handle, name, value }),
        1 => (handle, name).prop_map(|(handle, name)| Step::DeleteProgram { handle, name }),
    ]
}

#[derive(Default)]
struct Live {
    generation: u64,
    ttl: u64,
    accessed: u64,
    variables: BTreeMap<u8, (i64, u64)>,
    programs: BTreeMap<u8, i64>,
    changes: u64,
}

#[derive(Default)]
struct Model {
    now: u64,
    live: BTreeMap<u8, Live>,
    /// Generations that have expired.
    expired: BTreeSet<u64>,
}

/// Variables per session, out of three names.
const VARIABLES: usize = 2;

impl Model {
    fn expire(&mut self) {
        let now = self.now;
        let expired = &mut self.expired;
        self.live.retain(|_, live| {
            let lives = live.accessed + live.ttl > now;
            if !lives {
                expired.insert(live.generation);
            }
            lives
        });
    }

    /// Returns the session of a handle, touched, or the code of the error.
    fn of(&mut self, id: u8, generation: u64) -> Result<&mut Live, ErrorCode> {
        let now = self.now;
        if self.expired.contains(&generation) {
            return Err(ErrorCode::SessionExpired);
        }
        let live = self.live.get_mut(&id).ok_or(ErrorCode::UnknownSession)?;
        if live.generation != generation {
            return Err(ErrorCode::StaleSession);
        }
        live.accessed = now;
        Ok(live)
    }
}

fn set(live: &mut Live, items: &[(u8, i64, Option<u64>)]) -> Result<(), ErrorCode> {
    if items.len() == 2 && items[0].0 == items[1].0 {
        return Err(ErrorCode::InvalidState);
    }
    if !items
        .iter()
        .all(|item| live.variables.contains_key(&item.0))
    {
        return Err(ErrorCode::UnknownVariable);
    }
    if items.iter().any(|(_, value, _)| *value > 3) {
        return Err(ErrorCode::ConstraintViolated);
    }
    if items
        .iter()
        .any(|(name, _, version)| version.is_some_and(|v| v != live.variables[name].1))
    {
        return Err(ErrorCode::StaleVersion);
    }
    for (name, value, _) in items {
        let variable = live.variables.get_mut(name).expect("checked");
        *variable = (*value, variable.1 + 1);
        live.changes += 1;
    }
    Ok(())
}

fn same<T>(actual: &Result<T, StateError>, expected: Result<(), ErrorCode>) {
    assert_eq!(
        actual.as_ref().map(|_| ()).map_err(StateError::code),
        expected
    );
}

fn name(n: u8) -> String {
    format!("n{n}")
}

async fn run(steps: Vec<Step>) {
    let mut config = SessionConfig::new();
    config.max_variables = VARIABLES;
    let sessions = Sessions::new(config).unwrap();
    let mut model = Model::default();
    let mut handles: Vec<(u8, Session)> = Vec::new();
    for step in steps {
        model.expire();
        let pick = |handle: usize| handles.get(handle % handles.len().max(1)).cloned();
        match step {
            Step::Create { id, ttl } => {
                let options = SessionOptions::new().ttl(Duration::from_secs(ttl));
                match (
                    sessions.create(name(id), options),
                    model.live.contains_key(&id),
                ) {
                    (Ok(session), false) => {
                        let (generation, accessed) = (session.generation(), model.now);
                        model.live.insert(
                            id,
                            Live {
                                generation,
                                ttl,
                                accessed,
                                ..Live::default()
                            },
                        );
                        handles.push((id, session));
                    }
                    (result, there) => {
                        assert!(there && matches!(result, Err(StateError::SessionExists(_))))
                    }
                }
            }
            Step::Take(id) => match (sessions.get(&name(id).into()), model.live.get_mut(&id)) {
                (Ok(session), Some(live)) => {
                    assert_eq!(session.generation(), live.generation);
                    live.accessed = model.now;
                }
                (result, live) => assert!(result.is_err() && live.is_none()),
            },
            Step::Delete(id) => {
                assert_eq!(
                    sessions.delete(&name(id).into()),
                    Ok(model.live.remove(&id).is_some())
                );
            }
            Step::Advance(seconds) => {
                tokio::time::advance(Duration::from_secs(seconds)).await;
                model.now += seconds;
            }
            Step::Sweep => drop(sessions.sweep()),
            Step::Touch(handle) => {
                let Some((id, session)) = pick(handle) else {
                    continue;
                };
                same(
                    &session.touch(),
                    model.of(id, session.generation()).map(drop),
                );
            }
            Step::Register {
                handle,
                name: n,
                value,
            } => {
                let Some((id, session)) = pick(handle) else {
                    continue;
                };
                let constraints = snakepit_core::state::Constraints::new().max(3);
                let new = NewVariable::new(name(n), VariableType::Integer, value)
                    .constraints(constraints);
                let result = session.register(new);
                // The value is checked before the session.
                let expected = if value > 3 {
                    Err(ErrorCode::ConstraintViolated)
                } else {
                    model.of(id, session.generation()).and_then(|live| {
                        if live.variables.contains_key(&n) {
                            return Err(ErrorCode::VariableExists);
                        }
                        if live.variables.len() == VARIABLES {
                            return Err(ErrorCode::QuotaExceeded);
                        }
                        live.variables.insert(n, (value, 1));
                        live.changes += 1;
                        Ok(())
                    })
                };
                same(&result, expected);
            }
            Step::Set { handle, items } => {
                let Some((id, session)) = pick(handle) else {
                    continue;
                };
                let batch = items.iter().map(|(n, value, version)| {
                    let mut item = SetVariable::new(name(*n), *value);
                    item.expected_version = *version;
                    item
                });
                let twice = items.len() == 2 && items[0].0 == items[1].0;
                let result = session.set_all(batch.collect());
                // So is the batch as a whole.
                let expected = if twice {
                    Err(ErrorCode::InvalidState)
                } else {
                    model
                        .of(id, session.generation())
                        .and_then(|live| set(live, &items))
                };
                same(&result, expected);
            }
            Step::Get { handle, name: n } => {
                let Some((id, session)) = pick(handle) else {
                    continue;
                };
                let got = session
                    .variable(&name(n))
                    .map(|v| ((*v.value).clone(), v.version));
                let live = model.of(id, session.generation());
                let expected =
                    live.and_then(|live| live.variables.get(&n).ok_or(ErrorCode::UnknownVariable));
                let expected = expected.map(|(value, version)| (Value::Int(*value), *version));
                assert_eq!(got.map_err(|error| error.code()), expected);
            }
            Step::Remove { handle, name: n } => {
                let Some((id, session)) = pick(handle) else {
                    continue;
                };
                let result = session.delete_variable(&name(n), None);
                let expected = model.of(id, session.generation()).map(|live| {
                    let there = live.variables.remove(&n).is_some();
                    live.changes += u64::from(there);
                    there
                });
                assert_eq!(result.map_err(|error| error.code()), expected);
            }
            Step::PutProgram {
                handle,
                name: n,
                value,
            } => {
                let Some((id, session)) = pick(handle) else {
                    continue;
                };
                let result = session.put_program(&name(n), value.into());
                let live = model.of(id, session.generation());
                same(
                    &result,
                    live.map(|live| {
                        live.programs.insert(n, value);
                    }),
                );
            }
            Step::DeleteProgram { handle, name: n } => {
                let Some((id, session)) = pick(handle) else {
                    continue;
                };
                let result = session.delete_program(&name(n));
                let live = model.of(id, session.generation());
                assert_eq!(
                    result.map_err(|error| error.code()),
                    live.map(|live| live.programs.remove(&n).is_some())
                );
            }
        }
        check(&sessions, &mut model, &handles).await;
    }
    for (id, session) in handles {
        assert_eq!(
            session.delete(),
            Ok(model
                .live
                .get(&id)
                .is_some_and(|live| live.generation == session.generation()))
        );
    }
    assert_eq!((sessions.count(), sessions.stats().bytes), (0, 0));
}

/// Checks everything without prolonging any session.
async fn check(sessions: &Sessions, model: &mut Model, handles: &[(u8, Session)]) {
    model.expire();
    let mut listed: Vec<_> = sessions.list(None, 100).sessions;
    listed.sort_by(|a, b| a.id.cmp(&b.id));
    let ids: Vec<_> = listed.iter().map(|info| info.id.to_string()).collect();
    assert_eq!(
        ids,
        model.live.keys().map(|id| name(*id)).collect::<Vec<_>>()
    );
    for (info, live) in listed.iter().zip(model.live.values()) {
        assert_eq!(info.generation, live.generation);
        assert_eq!(
            (info.variables, info.programs),
            (live.variables.len(), live.programs.len())
        );
        assert_eq!(info.idle, Duration::from_secs(model.now - live.accessed));
    }
    let bytes: usize = listed.iter().map(|info| info.bytes).sum();
    assert!(
        sessions.stats().bytes as usize >= bytes,
        "expired sessions may still be counted"
    );
    // The log has every change with its own number; reading it counts as an access in both.
    if let Some((id, session)) = handles.last()
        && let Ok(live) = model.of(*id, session.generation())
    {
        let batch = session
            .changes_after(Some(0), &WatchFilter::all(), 1000, Duration::ZERO)
            .await
            .unwrap();
        let seqs: Vec<_> = batch.changes.iter().map(|change| change.seq).collect();
        assert_eq!(seqs, (1..=live.changes).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn behaves_like_the_model(steps in prop::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}
