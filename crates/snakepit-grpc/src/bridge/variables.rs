//! Variables of the caller's session, and their changes.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::state::{
    ChangeBatch, Constraints, NewVariable, Origin, SetVariable, StateError, Variable, VariableType,
    WatchFilter,
};
use snakepit_core::value::{Metadata, Payload, Value};

use super::{HostBridge, answer, argument, refusal};
use crate::budget::{Budget, check_repeats};
use crate::link::HostRequest;

/// Largest number of names or items in one request.
const MAX_ITEMS: usize = 10_000;

/// Largest number of changes in one answer.
const MAX_CHANGES: usize = 1024;

/// Longest wait of one pull; the worker then pulls again.
const MAX_WAIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Register {
    r#type: String,
    value: Value,
    #[serde(default)]
    constraints: Constraints,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Get {
    names: Vec<String>,
}

#[derive(Deserialize)]
struct Set {
    items: Vec<Item>,
    #[serde(default)]
    atomic: bool,
}

#[derive(Deserialize)]
struct Item {
    name: String,
    value: Value,
    #[serde(default)]
    expected_version: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Delete {
    #[serde(default)]
    expected_version: Option<u64>,
}

#[derive(Default, Deserialize)]
struct List {
    #[serde(default)]
    prefix: String,
}

#[derive(Deserialize)]
struct Pull {
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    max: usize,
    #[serde(default)]
    wait_us: u64,
    /// `true` to omit the changes that this worker has made itself.
    #[serde(default)]
    skip_own: bool,
}

#[derive(Serialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<T> {
    Done(T),
    Failed { name: String, error: ItemError },
}

#[derive(Serialize)]
struct ItemError {
    code: &'static str,
    message: String,
    help: String,
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraints: Option<&'a Constraints>,
}

#[derive(Serialize)]
struct SetDone {
    name: String,
    version: u64,
}

#[derive(Serialize)]
struct Changes<'a> {
    changes: Vec<Changed<'a>>,
    next: u64,
    lagged: u64,
}

#[derive(Serialize)]
struct Changed<'a> {
    seq: u64,
    name: &'a str,
    kind: &'static str,
    version: u64,
    r#type: &'static str,
    value: &'a Value,
    origin: String,
}

fn failed<T>(name: String, error: &StateError) -> Outcome<T> {
    let error = ItemError {
        code: error.code().as_str(),
        message: error.to_string(),
        help: error.help(),
    };
    Outcome::Failed { name, error }
}

/// Returns the name if the request is for one variable instead of a list.
fn one_name(request: &HostRequest) -> Option<&str> {
    const NIL: &[u8] = &[0xc0];
    (*request.body == *NIL && !request.name.is_empty()).then_some(&request.name)
}

fn check_count(count: usize) -> Result<(), Box<ToolError>> {
    if count <= MAX_ITEMS {
        return Ok(());
    }
    Err(refusal(
        ErrorCode::InvalidRequest,
        format!("{count} variables in one request, the limit is {MAX_ITEMS}"),
        "request fewer at a time",
    ))
}

fn described(variable: &Variable) -> Described<'_> {
    Described {
        name: &variable.name,
        r#type: variable.kind.name(),
        value: Some(&variable.value),
        size: None,
        version: variable.version,
        metadata: Some(&*variable.metadata).filter(|metadata| !metadata.is_empty()),
        constraints: Some(&*variable.constraints).filter(|of| **of != Constraints::default()),
    }
}

/// Returns the size of a value on the wire in bytes; approximate for a large one.
fn size(variable: &Variable) -> usize {
    const EXACT: usize = 16 << 10;
    match variable.value_bytes() {
        bytes if bytes > EXACT => bytes,
        _ => Payload::encode(&*variable.value).map_or(0, |payload| payload.bytes.len()),
    }
}

/// Truncates a batch of changes whose answer would be too large; the rest follows in the next one.
/// A change that is too large for any answer counts as missed.
fn fit(batch: &mut ChangeBatch, max_answer: usize) {
    const EACH: usize = 128;
    let mut budget = Budget::new(max_answer.saturating_sub(EACH));
    let fitting = batch.changes.iter();
    let fitting = fitting.take_while(|change| budget.fits(EACH + change.value_bytes()));
    let fitting = fitting.count();
    let Some(first) = batch.changes.get(fitting) else {
        return;
    };
    if fitting == 0 {
        batch.missed += 1;
        batch.next = first.seq;
    } else {
        batch.next = batch.changes[fitting - 1].seq;
    }
    batch.changes.truncate(fitting);
}

impl HostBridge {
    pub(super) fn variable_register(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let asked: Register = argument(request)?;
        let kind = VariableType::parse(&asked.r#type).ok_or_else(|| {
            let known: Vec<_> = VariableType::ALL.iter().map(|kind| kind.name()).collect();
            refusal(
                ErrorCode::WrongVariableType,
                format!("unknown variable type {:?}", asked.r#type),
                &format!("use one of {}", known.join(", ")),
            )
        })?;
        let mut variable = NewVariable::new(request.name.clone(), kind, asked.value);
        variable.constraints = asked.constraints;
        variable.metadata = asked.metadata;
        let registered = self.session(request)?.register(variable)?;
        answer(&Versioned {
            version: registered.version,
        })
    }

    pub(super) fn variable_get(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        if let Some(name) = one_name(request) {
            let variable = self.session(request)?.variable(name)?;
            return answer(&described(&variable));
        }
        let Get { names } = argument(request)?;
        check_count(names.len())?;
        check_repeats(names.iter().map(String::as_str))?;
        let found = self.session(request)?.variables(&names)?;
        let mut budget = Budget::new(request.max_answer);
        for variable in found.iter().flatten() {
            budget.take(variable.value_bytes() + variable.description_bytes())?;
        }
        let results: Vec<_> = found
            .iter()
            .zip(names)
            .map(|(result, name)| match result {
                Ok(variable) => Outcome::Done(described(variable)),
                Err(error) => failed(name, error),
            })
            .collect();
        answer(&results)
    }

    pub(super) fn variable_set(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let Set { items, atomic } = argument(request)?;
        check_count(items.len())?;
        let names: Vec<_> = items.iter().map(|item| item.name.clone()).collect();
        let items = items
            .into_iter()
            .map(|item| {
                let mut set = SetVariable::new(item.name, item.value);
                set.expected_version = item.expected_version;
                set
            })
            .collect();
        let session = self.session(request)?;
        let results = if atomic {
            session.set_all(items)?.into_iter().map(Ok).collect()
        } else {
            session.set_each(items)?
        };
        let results: Vec<_> = results
            .into_iter()
            .zip(names)
            .map(|(result, name)| match result {
                Ok(variable) => Outcome::Done(SetDone {
                    name,
                    version: variable.version,
                }),
                Err(error) => failed(name, &error),
            })
            .collect();
        answer(&results)
    }

    pub(super) fn variable_delete(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let asked: Delete = argument::<Option<_>>(request)?.unwrap_or_default();
        let there = self
            .session(request)?
            .delete_variable(&request.name, asked.expected_version)?;
        answer(&there)
    }

    pub(super) fn variable_list(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let List { prefix } = argument::<Option<_>>(request)?.unwrap_or_default();
        let variables = self.session(request)?.list_variables(&prefix)?;
        let mut budget = Budget::new(request.max_answer);
        let mut list = Vec::with_capacity(variables.len());
        for variable in &variables {
            budget.take(variable.description_bytes())?;
            list.push(Described {
                value: None,
                size: Some(size(variable)),
                ..described(variable)
            });
        }
        answer(&list)
    }

    pub(super) async fn changes(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let pull: Pull = argument(request)?;
        let mut filter = match pull.names {
            Some(names) => {
                check_count(names.len())?;
                WatchFilter::names(names)
            }
            None => WatchFilter::all(),
        };
        if pull.skip_own {
            filter = filter.without(Origin::Worker(request.worker.clone()));
        }
        let max = pull.max.clamp(1, MAX_CHANGES);
        let wait = Duration::from_micros(pull.wait_us).min(MAX_WAIT);
        let session = self.session(request)?;
        let mut batch = session
            .changes_after(pull.after, &filter, max, wait)
            .await?;
        fit(&mut batch, request.max_answer);
        let changes = batch
            .changes
            .iter()
            .map(|change| Changed {
                seq: change.seq,
                name: &change.name,
                kind: change.kind.name(),
                version: change.version,
                r#type: change.variable.name(),
                value: &change.value,
                origin: change.origin.to_string(),
            })
            .collect();
        answer(&Changes {
            changes,
            next: batch.next,
            lagged: batch.missed,
        })
    }
}
