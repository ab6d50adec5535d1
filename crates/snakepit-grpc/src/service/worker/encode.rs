//! A call as a message for a worker on gRPC.

use std::collections::HashMap;

use snakepit_core::call::Request;
use snakepit_core::error::{Direction, ErrorCode, ToolError};
use snakepit_core::events::TraceContext;
use snakepit_core::value::{Payload, Value};
use snakepit_core::worker::CallError;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};

use super::GrpcWorker;
use crate::convert::beginning;
use crate::pb;
use crate::service::caller::{CORRELATION, TRACE_PARENT, TRACE_STATE};
use crate::service::{any, json};

/// Longest correlation id in bytes; a longer one is truncated.
const MAX_CORRELATION: usize = 256;

impl GrpcWorker {
    /// Returns the message of a call with these arguments.
    ///
    /// # Errors
    /// The arguments are too large, or the worker cannot read them.
    pub(super) fn message(
        &self,
        request: &Request,
        args: &Payload,
        span: Option<TraceContext>,
        stream: bool,
    ) -> Result<pb::ExecuteToolRequest, CallError> {
        let size = args.bytes.len();
        if size > self.limit {
            return Err(CallError::TooLarge {
                direction: Direction::Request,
                size: size as u64,
                limit: self.limit as u64,
            });
        }
        let session = request.session.as_ref().or(self.private.as_ref());
        let left = request.remaining(Instant::now());
        let mut message = pb::ExecuteToolRequest {
            session_id: session.map_or_else(String::new, |it| it.as_str().to_owned()),
            tool_name: request.tool.to_string(),
            stream,
            call_id: request.call.0,
            // Zero would mean "no deadline".
            timeout_us: left.map_or(0, |left| {
                u64::try_from(left.as_micros()).unwrap_or(u64::MAX).max(1)
            }),
            ..pb::ExecuteToolRequest::default()
        };
        if let Some(span) = span {
            message.trace = span.to_bytes().to_vec().into();
            message.trace_state = request.trace_state.as_str().to_owned();
        }
        if let Some(correlation) = &request.correlation {
            let correlation = beginning(correlation, MAX_CORRELATION).to_owned();
            let entry = ("correlation_id".to_owned(), correlation.clone());
            message.metadata = HashMap::from([entry]);
            message.correlation_id = correlation;
        }
        let metadata = request.metadata.iter().flat_map(|texts| texts.iter());
        let metadata = metadata.map(|(key, value)| (key.clone(), value.clone()));
        message.metadata.extend(metadata);
        self.put(&request.tool, args, &mut message)
            .map_err(CallError::Tool)?;
        Ok(message)
    }

    /// Puts the arguments into the message, in the best form that the worker reads.
    fn put(
        &self,
        tool: &str,
        args: &Payload,
        message: &mut pb::ExecuteToolRequest,
    ) -> Result<(), Box<ToolError>> {
        if self.can.msgpack {
            message.payload = args.bytes.clone();
            message.set_encoding(pb::Encoding::Msgpack);
            return Ok(());
        }
        let value: Value = args.decode().map_err(|error| {
            Box::new(ToolError::new(ErrorCode::InvalidPayload, error.to_string()))
        })?;
        if self.can.json {
            message.payload = json::write(&value, self.limit).map_err(unfit)?.into();
            message.set_encoding(pb::Encoding::Json);
            return Ok(());
        }
        let pairs = match value {
            Value::Null => return Ok(()),
            Value::Map(pairs) => pairs,
            _ => return Err(unnamed(tool, "positional arguments")),
        };
        for (name, value) in pairs {
            let Value::Str(name) = name else {
                return Err(unnamed(tool, "arguments whose names are no texts"));
            };
            if let Value::Bytes(data) = value {
                message.binary_parameters.insert(name, data);
            } else {
                let any = any::write(&value, self.limit).map_err(unfit)?;
                message.parameters.insert(name, any);
            }
        }
        Ok(())
    }
}

/// Adds the headers that libraries for tracing read.
pub(super) fn with_headers(
    message: pb::ExecuteToolRequest,
    span: Option<TraceContext>,
) -> tonic::Request<pb::ExecuteToolRequest> {
    let header = |text: &str| MetadataValue::<Ascii>::try_from(text).ok();
    let headers = [
        (CORRELATION, header(&message.correlation_id)),
        (
            TRACE_PARENT,
            span.and_then(|span| header(&span.to_string())),
        ),
        (TRACE_STATE, header(&message.trace_state)),
    ];
    let mut request = tonic::Request::new(message);
    for (name, value) in headers {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            request.metadata_mut().insert(name, value);
        }
    }
    request
}

fn unnamed(tool: &str, what: &str) -> Box<ToolError> {
    let message = format!("the worker of tool `{tool}` does not accept {what}");
    let mut error = ToolError::new(ErrorCode::InvalidArguments, message);
    error.help = "pass every argument by its name".to_owned();
    error.into()
}

/// Rewords the error of arguments that the worker cannot read as JSON.
fn unfit(mut error: Box<ToolError>) -> Box<ToolError> {
    error.help =
        "pass other values, or let the worker read MessagePack (capability `msgpack`)".to_owned();
    error
}
