//! Binding: turns an encoded payload into the arguments of one function call.

mod refusal;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use smallvec::{SmallVec, smallvec};

pub(crate) use self::refusal::without_secrets;
use self::refusal::{at, bad_key, invalid, invalid_at, wrong};
use crate::binding::check::check;
use crate::binding::describe::describe;
use crate::binding::fault::{Fault, fault};
use crate::binding::mismatch::{MISSING, UNKNOWN};
use crate::binding::suggest::nearest;
use crate::binding::tool::{Param, ParamKind, Tool};
use crate::codec::decode::{self, DecodeError};
use crate::codec::frames::{Libraries, wanting};
use crate::codec::msgpack::{Scanner, Token};

/// A list that needs no allocation for up to 6 items; few tools have more parameters.
type Few<T> = SmallVec<[T; 6]>;

/// Checked and converted arguments of one call.
#[derive(Debug)]
pub(crate) struct Bindings<'py> {
    positional: Few<Bound<'py, PyAny>>,
    keywords: Option<Bound<'py, PyDict>>,
}

impl<'py> Bindings<'py> {
    /// Adds a keyword argument.
    fn set(
        &mut self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        self.keywords
            .get_or_insert_with(|| PyDict::new(py))
            .set_item(name, value)
    }

    /// Calls the function.
    pub(crate) fn call(self, py: Python<'py>, function: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let function = function.bind(py);
        match (self.keywords, self.positional.len()) {
            (None, 0) => function.call0(),
            (keywords, _) => function.call(PyTuple::new(py, self.positional)?, keywords.as_ref()),
        }
    }
}

/// Decodes `payload` and binds it to the parameters of `tool`. The tool gets `context` if it has a
/// parameter for it.
pub(crate) fn bind<'py>(
    py: Python<'py>,
    tool: &Tool,
    context: Option<Bound<'py, PyAny>>,
    payload: &[u8],
) -> Result<Bindings<'py>, Fault> {
    let mut scanner = Scanner::new(payload);
    let mut given = Given {
        py,
        tool,
        context,
        values: smallvec![None; tool.params.len()],
        rest: Vec::new(),
        extra: None,
    };
    match scanner
        .next()
        .map_err(|error| invalid(tool, &error.into()))?
    {
        Token::Nil => {}
        Token::Map(count) => {
            for _ in 0..count {
                let name = match scanner
                    .next()
                    .map_err(|error| invalid(tool, &error.into()))?
                {
                    Token::Str(name) => name,
                    other => return Err(bad_key(tool, other)),
                };
                let value = given.decoded(&mut scanner, || given.named(name));
                let value = value.map_err(|error| invalid_at(tool, name, &error))?;
                given.by_name(name, value)?;
            }
        }
        Token::Array(count) => {
            for index in 0..count {
                let value = given.decoded(&mut scanner, || given.placed(index));
                let value = value.map_err(|error| {
                    let name = given.placed(index).map_or("", |param| &param.text);
                    invalid_at(tool, name, &error)
                })?;
                given.by_place(index, value, count)?;
            }
        }
        _ => {
            let value = decode::decode(py, payload).map_err(|error| invalid(tool, &error))?;
            return Err(fault(
                "SP2008",
                format!(
                    "the arguments of tool `{}` must be an object or an array, got {}",
                    tool.name,
                    describe(&value)
                ),
                Some(tool),
                "pass a map for keyword arguments, an array for positional ones, or nothing",
            ));
        }
    }
    scanner
        .finish()
        .map_err(|error| invalid(tool, &error.into()))?;
    given.finish()
}

struct Given<'a, 'py> {
    py: Python<'py>,
    tool: &'a Tool,
    context: Option<Bound<'py, PyAny>>,
    values: Few<Option<Bound<'py, PyAny>>>,
    /// Values for `*args`.
    rest: Vec<Bound<'py, PyAny>>,
    /// Values for `**kwargs`.
    extra: Option<Bound<'py, PyDict>>,
}

impl<'a, 'py> Given<'a, 'py> {
    /// Decodes the value of a parameter. Data frames in it become frames of the library that the
    /// annotation names.
    fn decoded(
        &self,
        scanner: &mut Scanner<'_>,
        param: impl FnOnce() -> Option<&'a Param>,
    ) -> Result<Bound<'py, PyAny>, DecodeError> {
        if !self.tool.takes_frames {
            return decode::value(self.py, scanner, 1);
        }
        let wanted = param().map_or(Libraries::NONE, |param| param.frames);
        wanting(wanted, || decode::value(self.py, scanner, 1))
    }

    /// Returns the index of the parameter with this name; `None` for `*args` and `**kwargs`.
    fn position(&self, name: &str) -> Option<usize> {
        // A positional-only parameter may be passed by name too: callers should not have to count.
        self.tool.params.iter().position(|param| {
            param.text == name
                && !matches!(param.kind, ParamKind::VarPositional | ParamKind::VarKeyword)
        })
    }

    /// Returns the parameter that receives an argument of this name.
    fn named(&self, name: &str) -> Option<&'a Param> {
        let params = &self.tool.params;
        let rest = || {
            params
                .iter()
                .find(|param| param.kind == ParamKind::VarKeyword)
        };
        self.position(name)
            .map(|index| &params[index])
            .or_else(rest)
    }

    /// Returns the parameter that receives the argument at this position.
    fn placed(&self, index: usize) -> Option<&'a Param> {
        let params = &self.tool.params;
        let rest = || {
            params
                .iter()
                .find(|param| param.kind == ParamKind::VarPositional)
        };
        let own =
            |param: &&Param| matches!(param.kind, ParamKind::PositionalOnly | ParamKind::Normal);
        params.get(index).filter(own).or_else(rest)
    }

    fn by_name(&mut self, name: &str, value: Bound<'py, PyAny>) -> Result<(), Fault> {
        let params = &self.tool.params;
        if let Some(index) = self.position(name) {
            self.values[index] = Some(self.checked(&params[index], || name.to_owned(), value)?);
            return Ok(());
        }
        let Some(param) = params
            .iter()
            .find(|param| param.kind == ParamKind::VarKeyword)
        else {
            return Err(self.unknown(name));
        };
        let value = self.checked(param, || name.to_owned(), value)?;
        let extra = self.extra.get_or_insert_with(|| PyDict::new(self.py));
        extra
            .set_item(name, value)
            .map_err(|error| invalid(self.tool, &error.into()))
    }

    fn by_place(
        &mut self,
        index: usize,
        value: Bound<'py, PyAny>,
        count: usize,
    ) -> Result<(), Fault> {
        let params = &self.tool.params;
        match params.get(index) {
            Some(param) if matches!(param.kind, ParamKind::PositionalOnly | ParamKind::Normal) => {
                self.values[index] = Some(self.checked(param, || param.text.clone(), value)?);
                return Ok(());
            }
            _ => {}
        }
        let Some(param) = params
            .iter()
            .find(|param| param.kind == ParamKind::VarPositional)
        else {
            let takes = params
                .iter()
                .filter(|param| matches!(param.kind, ParamKind::PositionalOnly | ParamKind::Normal))
                .count();
            let message = format!(
                "tool `{}` takes {takes} positional argument{}, got {count}",
                self.tool.name,
                if takes == 1 { "" } else { "s" }
            );
            return Err(fault(
                "SP2004",
                message,
                Some(self.tool),
                "pass keyword-only arguments by name, and no more than the tool takes",
            ));
        };
        let value = self.checked(
            param,
            || format!("{}[{}]", param.text, self.rest.len()),
            value,
        )?;
        self.rest.push(value);
        Ok(())
    }

    fn checked(
        &self,
        param: &Param,
        name: impl FnOnce() -> String,
        value: Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>, Fault> {
        check(&param.spec, value, false)
            .map_err(|mismatch| wrong(self.py, self.tool, param, &name(), &mismatch))
    }

    fn finish(self) -> Result<Bindings<'py>, Fault> {
        let Self {
            py,
            tool,
            context,
            values,
            rest,
            extra,
        } = self;
        let mut bindings = Bindings {
            positional: Few::with_capacity(values.len() + rest.len()),
            keywords: extra,
        };
        let mut gap = false;
        let mut context = tool.context.as_ref().zip(context);
        for (index, (param, value)) in tool.params.iter().zip(values).enumerate() {
            if tool.context_index == Some(index) && !gap {
                bindings
                    .positional
                    .extend(context.take().map(|(_, context)| context));
            }
            let positional = matches!(param.kind, ParamKind::PositionalOnly | ParamKind::Normal);
            match value {
                Some(value) if positional && !gap => bindings.positional.push(value),
                // After a parameter that takes its default, the others are passed by name, where
                // they can be.
                Some(_) if param.kind == ParamKind::PositionalOnly => {
                    let message = format!(
                        "tool `{}` takes argument `{}` only after the ones before it",
                        tool.name, param.text
                    );
                    let help = "pass the earlier positional-only arguments too";
                    return Err(at(&param.text, fault(MISSING, message, Some(tool), help)));
                }
                Some(value) => bindings
                    .set(py, param.name.bind(py), &value)
                    .map_err(|error| invalid(tool, &error.into()))?,
                None if param.required => {
                    let message = format!(
                        "tool `{}` needs argument `{}` ({})",
                        tool.name,
                        param.text,
                        param.spec.text()
                    );
                    let example = param.spec.example(py).unwrap_or_else(|| "…".to_owned());
                    let help = format!("pass it, for example {} = {example}", param.text);
                    return Err(at(&param.text, fault(MISSING, message, Some(tool), help)));
                }
                None => gap |= positional,
            }
        }
        if tool.context_index == Some(tool.params.len()) && !gap {
            bindings
                .positional
                .extend(context.take().map(|(_, context)| context));
        }
        if let Some((name, context)) = context {
            bindings
                .set(py, name.bind(py).as_any(), &context)
                .map_err(|error| invalid(tool, &error.into()))?;
        }
        // `*args` have values only if every positional parameter before them was given.
        bindings.positional.extend(rest);
        Ok(bindings)
    }

    fn unknown(&self, name: &str) -> Fault {
        let names = || self.tool.params.iter().map(|param| param.text.as_str());
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.tool.params.is_empty() => "the tool takes no arguments".to_owned(),
            None => format!(
                "its arguments are {}",
                names()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        };
        let message = format!("tool `{}` has no argument `{name}`", self.tool.name);
        at(name, fault(UNKNOWN, message, Some(self.tool), help))
    }
}
