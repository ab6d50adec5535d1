//! Tools of a worker, read once from the catalog.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyString;
use snakepit_grpc::frame::Kind;
use snakepit_grpc::pb;

use crate::binding::fault::{Fault, fault};
use crate::binding::spec::Spec;
use crate::binding::suggest::nearest;
use crate::codec::frames::Libraries;
use crate::codec::msgpack::{Token, write};
use crate::serve::exclusive::Exclusive;

/// Flags of code whose call runs nothing: coroutines, generators, and asynchronous generators.
const LAZY: u32 = 0x80 | 0x20 | 0x200;

/// A callable tool.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// The catalog's own object, for `describe_exception`.
    pub(crate) object: Py<PyAny>,
    pub(crate) function: Py<PyAny>,
    pub(crate) streaming: bool,
    /// The tool accepts any name as `tool_name`, and the arguments of the call as one map
    /// `arguments`.
    pub(crate) catch_all: bool,
    pub(crate) is_async: bool,
    /// The function may return a coroutine, which is awaited.
    pub(crate) awaits: bool,
    /// A call of the function runs none of its code: it creates a coroutine or a generator.
    pub(crate) is_lazy: bool,
    /// The tool is called by the host only, not by users.
    pub(crate) health_check: bool,
    /// Name of the parameter that receives the context.
    pub(crate) context: Option<Py<PyString>>,
    /// Index of the context among the positional `params`; `None` if it is passed by name.
    pub(crate) context_index: Option<usize>,
    /// Adapter instance whose `session_context` is set for each call.
    pub(crate) owner: Option<Py<PyAny>>,
    /// The lock of tools that must run one call at a time; several tools may share it.
    pub(crate) turn: Option<Arc<Exclusive>>,
    pub(crate) params: Vec<Param>,
    /// A parameter's annotation names data frames.
    pub(crate) takes_frames: bool,
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) signature: String,
}

/// Kind of a parameter; the numbers are those of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParamKind {
    PositionalOnly,
    Normal,
    KeywordOnly,
    VarPositional,
    VarKeyword,
}

/// A parameter of a tool.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: Py<PyString>,
    pub(crate) text: String,
    pub(crate) kind: ParamKind,
    pub(crate) required: bool,
    pub(crate) spec: Spec,
    /// The libraries whose data frames the annotation names.
    pub(crate) frames: Libraries,
}

/// All tools of a worker.
#[derive(Debug)]
pub(crate) struct Tools {
    list: Vec<Tool>,
    by_name: foldhash::HashMap<String, usize>,
    specs: Vec<pb::ToolSpec>,
}

impl Tools {
    /// Reads `catalog.tools`.
    pub(crate) fn read(catalog: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut tools = Self {
            list: Vec::new(),
            by_name: foldhash::HashMap::default(),
            specs: Vec::new(),
        };
        let mut turns = HashMap::new();
        for object in catalog.getattr("tools")?.try_iter()? {
            let object = object?;
            let mut tool = Tool::read(&object)?;
            if let Some(group) = object.getattr("turn")?.extract::<Option<u32>>()? {
                tool.turn = Some(Arc::clone(turns.entry(group).or_default()));
            }
            tools.specs.push(pb::ToolSpec {
                name: tool.name.clone(),
                description: object.getattr("description")?.extract()?,
                supports_streaming: tool.streaming,
                parameters_schema: object.getattr("parameters_schema")?.extract()?,
                returns_schema: object.getattr("returns_schema")?.extract()?,
                is_async: tool.is_async,
                file: tool.file.clone(),
                line: tool.line,
                signature: tool.signature.clone(),
                health_check: tool.health_check,
                ..Default::default()
            });
            tools.by_name.insert(tool.name.clone(), tools.list.len());
            tools.list.push(tool);
        }
        Ok(tools)
    }

    /// Returns the descriptions of the tools for the host.
    pub(crate) fn specs(&self) -> Vec<pb::ToolSpec> {
        self.specs.clone()
    }

    /// Returns the tool for unknown names, if the adapter dispatches names itself.
    pub(crate) fn catch_all(&self, kind: Kind) -> Option<&Tool> {
        self.list.iter().find(|tool| {
            tool.catch_all && kind != Kind::Many && tool.streaming == (kind == Kind::Stream)
        })
    }

    /// Returns the tool with this name.
    pub(crate) fn find(&self, name: &str) -> Result<&Tool, Fault> {
        if let Some(index) = self.by_name.get(name) {
            return Ok(&self.list[*index]);
        }
        let users = || self.list.iter().filter(|tool| !tool.health_check);
        let help = match nearest(name, users().map(|tool| tool.name.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let mut names: Vec<_> = users()
                    .take(20)
                    .map(|tool| format!("`{}`", tool.name))
                    .collect();
                if users().count() > names.len() {
                    names.push("…".to_owned());
                }
                format!("the tools are {}", names.join(", "))
            }
        };
        Err(fault(
            "SP2001",
            format!("no tool is named `{name}`"),
            None,
            help,
        ))
    }
}

impl Tool {
    /// Returns whether the tool has access to its context, and through it to the host.
    pub(crate) const fn knows_context(&self) -> bool {
        self.context.is_some() || self.owner.is_some()
    }

    /// Checks that the tool may be called in this way: for one result, or for a stream.
    pub(crate) fn right_kind(&self, kind: Kind) -> Result<(), Fault> {
        match (self.streaming, kind == Kind::Stream) {
            (true, false) => Err(fault(
                "SP2009",
                format!(
                    "tool `{}` yields a stream and was called for one result",
                    self.name
                ),
                Some(self),
                "call it with `execute_stream`",
            )),
            (false, true) => Err(fault(
                "SP2009",
                format!(
                    "tool `{}` returns one result and was called for a stream",
                    self.name
                ),
                Some(self),
                "call it with `execute`, or mark it with `@tool(streaming=True)` if it returns an iterator",
            )),
            _ => Ok(()),
        }
    }

    fn read(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let optional = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            let value = object.getattr(name)?;
            Ok((!value.is_none()).then_some(value))
        };
        let mut params = Vec::new();
        for param in object.getattr("params")?.try_iter()? {
            let (name, kind, required, spec): (Bound<'_, PyString>, u8, bool, Bound<'_, PyAny>) =
                param?.extract()?;
            let kind = match kind {
                0 => ParamKind::PositionalOnly,
                1 => ParamKind::Normal,
                2 => ParamKind::KeywordOnly,
                3 => ParamKind::VarPositional,
                _ => ParamKind::VarKeyword,
            };
            let spec = Spec::compile(&spec)?;
            params.push(Param {
                text: name.to_str()?.to_owned(),
                name: name.unbind(),
                kind,
                required,
                frames: spec.frames(),
                spec,
            });
        }
        let context = match optional("context")? {
            Some(name) => Some(name.cast_into::<PyString>()?.unbind()),
            None => None,
        };
        let function = object.getattr("function")?;
        let flags = function
            .getattr_opt("__code__")?
            .map(|code| code.getattr("co_flags")?.extract::<u32>())
            .transpose()?;
        Ok(Self {
            name: object.getattr("name")?.extract()?,
            is_lazy: flags.is_some_and(|flags| flags & LAZY != 0),
            function: function.unbind(),
            catch_all: object.getattr("catch_all")?.extract()?,
            streaming: object.getattr("kind")?.extract::<String>()? == "stream",
            is_async: object.getattr("is_async")?.extract()?,
            awaits: object.getattr("awaits")?.extract()?,
            health_check: object.getattr("health_check")?.extract()?,
            context,
            context_index: object.getattr("context_index")?.extract()?,
            owner: optional("owner")?.map(Bound::unbind),
            turn: None,
            takes_frames: params.iter().any(|param| !param.frames.is_empty()),
            params,
            file: object.getattr("file")?.extract()?,
            line: object.getattr("line")?.extract()?,
            signature: object.getattr("signature")?.extract()?,
            object: object.clone().unbind(),
        })
    }
}

/// Encodes the arguments of a catch-all tool for a call of the tool `name`.
pub(crate) fn by_name(name: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + name.len() + 32);
    write(&mut out, Token::Map(2));
    write(&mut out, Token::Str("tool_name"));
    write(&mut out, Token::Str(name));
    write(&mut out, Token::Str("arguments"));
    // A call without arguments passes an empty map.
    match body {
        [] | [0x90 | 0xc0] => write(&mut out, Token::Map(0)),
        body => out.extend_from_slice(body),
    }
    out
}
