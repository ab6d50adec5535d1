//! Variables of sessions, for clients.

use prost::Message as _;
use snakepit_core::state::{Constraints, NewVariable, Origin, SetVariable, Variable, VariableType};
use snakepit_core::value::Value;
use tonic::Status;

use super::server::Inner;
use super::status::{Fault, from_state, from_tool, invalid, short_name, state_error};
use super::values;
use crate::budget::{Budget, check_repeats};
use crate::pb;

/// Largest number of names or values in one request.
const MAX_BATCH: usize = 10_000;

impl Inner {
    pub(super) fn register_variable(
        &self,
        request: pb::RegisterVariableRequest,
        origin: Origin,
    ) -> Result<pb::RegisterVariableResponse, Status> {
        let session = self.session(&request.session_id)?.with_origin(origin);
        let kind = VariableType::parse(&request.r#type)
            .ok_or_else(|| from_tool(unknown_type(&request.r#type)))?;
        let value = values::read(request.value).map_err(from_tool)?;
        let mut variable = NewVariable::new(request.name, kind, value);
        variable.constraints = constraints(&request.constraints_json).map_err(from_tool)?;
        variable.metadata = request.metadata.into_iter().collect();
        let registered = session.register(variable).map_err(from_state)?;
        Ok(pb::RegisterVariableResponse {
            version: registered.version,
        })
    }

    pub(super) fn get_variables(
        &self,
        request: pb::GetVariablesRequest,
        max_message: usize,
    ) -> Result<pb::GetVariablesResponse, Status> {
        check_batch(request.names.len())?;
        check_repeats(request.names.iter().map(String::as_str)).map_err(from_tool)?;
        let session = self.session(&request.session_id)?;
        let found = session.variables(&request.names).map_err(from_state)?;
        // The values are counted in their own form first, then as text, which may be larger.
        let mut budget = Budget::new(max_message);
        for variable in found.iter().flatten() {
            let bytes = variable.value_bytes() + variable.description_bytes();
            budget.take(bytes).map_err(from_tool)?;
        }
        let mut budget = Budget::new(max_message);
        let mut results = Vec::with_capacity(found.len());
        for (name, found) in request.names.into_iter().zip(found) {
            let result = match found {
                Ok(variable) => pb::variable_result::Result::Variable(full(&variable)),
                Err(error) => pb::variable_result::Result::Error(item_error(state_error(error))),
            };
            let result = Some(result);
            let result = pb::VariableResult { name, result };
            budget.take(result.encoded_len()).map_err(from_tool)?;
            results.push(result);
        }
        Ok(pb::GetVariablesResponse { results })
    }

    pub(super) fn set_variables(
        &self,
        request: pb::SetVariablesRequest,
        origin: Origin,
    ) -> Result<pb::SetVariablesResponse, Status> {
        check_batch(request.items.len())?;
        let session = self.session(&request.session_id)?.with_origin(origin);
        let names: Vec<String> = request.items.iter().map(|item| item.name.clone()).collect();
        let updates = request.items.into_iter().map(update);
        let results: Vec<Result<Variable, Fault>> = if request.atomic {
            let updates: Result<Vec<_>, _> = updates.collect();
            let set = session
                .set_all(updates.map_err(from_tool)?)
                .map_err(from_state)?;
            set.into_iter().map(Ok).collect()
        } else {
            let (mut good, mut outcomes) = (Vec::new(), Vec::new());
            for update in updates {
                outcomes.push(update.map(|update| good.push(update)));
            }
            let mut set = session.set_each(good).map_err(from_state)?.into_iter();
            let next = |outcome: Result<(), Fault>| {
                outcome?;
                set.next()
                    .expect("there is one result for each item")
                    .map_err(state_error)
            };
            outcomes.into_iter().map(next).collect()
        };
        let results = names.into_iter().zip(results).map(|(name, result)| {
            let result = match result {
                Ok(variable) => pb::set_result::Result::Version(variable.version),
                Err(error) => pb::set_result::Result::Error(item_error(error)),
            };
            pb::SetResult {
                name,
                result: Some(result),
            }
        });
        Ok(pb::SetVariablesResponse {
            results: results.collect(),
        })
    }

    pub(super) fn delete_variable(
        &self,
        request: &pb::DeleteVariableRequest,
        origin: Origin,
    ) -> Result<pb::DeleteVariableResponse, Status> {
        let session = self.session(&request.session_id)?.with_origin(origin);
        let deleted = session.delete_variable(&request.name, version(request.expected_version));
        deleted.map_err(from_state)?;
        Ok(pb::DeleteVariableResponse {})
    }

    pub(super) fn list_variables(
        &self,
        request: &pb::ListVariablesRequest,
        max_message: usize,
    ) -> Result<pb::ListVariablesResponse, Status> {
        let session = self.session(&request.session_id)?;
        let listed = session
            .list_variables(&request.prefix)
            .map_err(from_state)?;
        let mut budget = Budget::new(max_message);
        for variable in &listed {
            let bytes = variable.description_bytes();
            budget.take(bytes).map_err(from_tool)?;
        }
        Ok(pb::ListVariablesResponse {
            variables: listed.iter().map(described).collect(),
        })
    }
}

fn check_batch(items: usize) -> Result<(), Status> {
    if items <= MAX_BATCH {
        return Ok(());
    }
    let message = format!("the request has {items} items, and at most {MAX_BATCH} are allowed");
    Err(from_tool(invalid(message)))
}

fn unknown_type(name: &str) -> Fault {
    let mut error = invalid(format!("the type `{}` is unknown", short_name(name)));
    let known: Vec<&str> = VariableType::ALL.iter().map(|kind| kind.name()).collect();
    error.help = format!("use one of {}", known.join(", "));
    error
}

fn constraints(text: &str) -> Result<Constraints, Fault> {
    if text.is_empty() {
        return Ok(Constraints::default());
    }
    // A struct could also be deserialised from an array.
    serde_json::from_str::<serde_json::Map<_, _>>(text)
        .and_then(|map| serde_json::from_value(map.into()))
        .map_err(|error| invalid(format!("`constraints_json` cannot be used: {error}")))
}

const fn version(expected: u64) -> Option<u64> {
    if expected == 0 { None } else { Some(expected) }
}

fn update(item: pb::VariableUpdate) -> Result<SetVariable, Fault> {
    let value: Value = values::read(item.value).map_err(|mut error| {
        error.message = format!("variable `{}`: {}", short_name(&item.name), error.message);
        error
    })?;
    let update = SetVariable::new(item.name, value);
    Ok(match version(item.expected_version) {
        Some(version) => update.expected_version(version),
        None => update,
    })
}

fn full(variable: &Variable) -> pb::Variable {
    pb::Variable {
        value: Some(values::write(&variable.value)),
        ..described(variable)
    }
}

fn described(variable: &Variable) -> pb::Variable {
    let constraints = serde_json::to_string(&*variable.constraints);
    pb::Variable {
        name: variable.name.to_string(),
        r#type: variable.kind.name().to_owned(),
        value: None,
        version: variable.version,
        metadata: variable
            .metadata
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        constraints_json: constraints.expect("constraints have only texts and numbers"),
        size: values::size(&variable.value),
    }
}

fn item_error(error: Fault) -> pb::ItemError {
    pb::ItemError {
        code: error.code.to_string(),
        message: error.message,
        help: error.help,
    }
}
