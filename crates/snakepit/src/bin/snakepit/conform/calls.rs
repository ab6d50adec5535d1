//! Checks of calls: unknown tools, streams, batches, failures, slots and cancellation.

use std::time::Duration;

use futures_util::future::join_all;
use snakepit::diag::{Check, CheckStatus};
use snakepit::{CallOptions, Error, ErrorCode, Snakepit, ToolError, ToolInfo, Value, args};
use tokio::time::Instant;

/// A name that no tool has.
const UNKNOWN: &str = "snakepit-conform-no-such-tool";

/// The worker and what is known about it.
pub(super) struct Kit<'a> {
    pub(super) snakepit: &'a Snakepit,
    tools: Vec<ToolInfo>,
    timeout: Duration,
}

impl<'a> Kit<'a> {
    pub(super) fn new(snakepit: &'a Snakepit, timeout: Duration) -> Self {
        let tools = snakepit.tools();
        Self {
            snakepit,
            tools,
            timeout,
        }
    }

    /// Returns the tool of this name. `None` if the worker does not have it.
    pub(super) fn tool(&self, name: &str) -> Option<&ToolInfo> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    pub(super) async fn call(&self, tool: &str, args: snakepit::Args) -> Result<Value, Error> {
        self.snakepit.execute(tool, args).await
    }

    /// Checks that a call of an unknown tool is an error of that call alone.
    pub(super) async fn unknown_tool(&self) -> Vec<Check> {
        const NAME: &str = "unknown tool";
        let before = self.pid();
        let error = match self.call(UNKNOWN, args! {}).await {
            Ok(value) => {
                let detail = format!("the call of a tool that does not exist returned {value}");
                return vec![failed(
                    NAME,
                    detail,
                    "answer it with an error of the code SP2001",
                )];
            }
            Err(error) => error,
        };
        if let Err(gone) = self.lives(NAME, before, &error).await {
            return vec![gone];
        }
        vec![match &error {
            Error::Tool(error) if error.code == ErrorCode::UnknownTool => {
                Check::ok(NAME, "an error of the code SP2001")
            }
            error => {
                let detail = format!("{error} ({})", error.code());
                let help = "answer it with an error of the code SP2001";
                Check::new(NAME, CheckStatus::Warning, detail, Some(help.to_owned()))
            }
        }]
    }

    /// Checks chunks, empty streams, and that a stream can be dropped.
    pub(super) async fn streams(&self) -> Check {
        const NAME: &str = "streams";
        if self.tool("count").is_none() {
            return left_out(NAME, "count(n)", "streams the numbers below n");
        }
        for n in [0_i64, 1, 1000] {
            let expected: Vec<Value> = (0..n).map(Value::from).collect();
            let chunks = match self.chunks(n).await {
                Ok(chunks) => chunks,
                Err(error) => {
                    return failed(NAME, format!("count({n}): {}", told(&error)), STREAMS);
                }
            };
            if !chunks.iter().map(whole).eq(expected.iter().map(whole)) {
                let detail = format!("count({n}) gave {} chunks, not 0 to n - 1", chunks.len());
                return failed(NAME, detail, STREAMS);
            }
        }
        Check::ok(NAME, "0, 1 and 1,000 chunks arrive in order")
    }

    async fn chunks(&self, n: i64) -> Result<Vec<Value>, Error> {
        let mut stream = self
            .snakepit
            .execute_stream::<Value>("count", args! { "n" => n })
            .await?;
        let mut chunks = Vec::new();
        while let Some(chunk) = stream.next().await {
            chunks.push(chunk?);
        }
        Ok(chunks)
    }

    /// Checks many calls at once.
    pub(super) async fn batches(&self) -> Check {
        const NAME: &str = "batches";
        if self.tool("echo").is_none() {
            return left_out(NAME, "echo(value)", "returns its argument");
        }
        let items = (0..200_i64).map(|n| args! { "value" => n });
        let mut results = self.snakepit.execute_many::<Value, _>("echo", items);
        let mut next = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(value) if whole(&value) == Some(next) => next += 1,
                Ok(value) => {
                    let detail = format!("item {next} of a batch came back as {value}");
                    return failed(NAME, detail, "answer the calls of a batch in order");
                }
                Err(error) => {
                    let detail = format!("item {next} of a batch: {}", told(&error));
                    return failed(NAME, detail, "answer every call of a batch");
                }
            }
        }
        if next != 200 {
            let detail = format!("{next} of 200 calls of a batch were answered");
            return failed(NAME, detail, "answer every call of a batch");
        }
        Check::ok(NAME, "200 calls are answered in order")
    }

    /// Checks that the error of a tool arrives with its message and its type.
    pub(super) async fn failures(&self) -> Check {
        const NAME: &str = "errors";
        const HELP: &str = "answer with `success: false` and `error` with type and message";
        if self.tool("fail").is_none() {
            return left_out(NAME, "fail(message)", "fails with this message");
        }
        let before = self.pid();
        let message = "a message with \"quotes\" and ä";
        let error = match self.call("fail", args! { "message" => message }).await {
            Ok(value) => return failed(NAME, format!("fail() returned {value}"), HELP),
            Err(error) => error,
        };
        if let Err(gone) = self.lives(NAME, before, &error).await {
            return gone;
        }
        match error {
            Error::Tool(error) if !error.message.contains(message) => failed(
                NAME,
                format!("the message arrived as {:?}", error.message),
                HELP,
            ),
            Error::Tool(error) if error.type_name.is_empty() => {
                let detail = "the error has no type".to_owned();
                Check::new(NAME, CheckStatus::Warning, detail, Some(HELP.to_owned()))
            }
            Error::Tool(error) => {
                let traceback = if error.traceback.is_empty() {
                    ""
                } else {
                    ", and its traceback"
                };
                Check::ok(
                    NAME,
                    format!("message and type ({}) arrive{traceback}", error.type_name),
                )
            }
            error => failed(NAME, told(&error), HELP),
        }
    }

    /// Checks that all slots run calls at the same time.
    pub(super) async fn slots(&self, slots: u16) -> Check {
        const NAME: &str = "slots";
        if slots == 1 {
            return Check::ok(NAME, "one call at a time");
        }
        if self.tool("sleep").is_none() {
            return left_out(NAME, "sleep(seconds)", "waits");
        }
        let nap = Duration::from_millis(500);
        let calls =
            (0..slots).map(|_| self.call("sleep", args! { "seconds" => nap.as_secs_f64() }));
        let began = Instant::now();
        let results = join_all(calls).await;
        let took = began.elapsed();
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            return failed(
                NAME,
                told(error),
                "serve as many calls at a time as there are slots",
            );
        }
        if took < nap * u32::from(slots) {
            return Check::ok(NAME, format!("{slots} calls run at the same time"));
        }
        let detail = format!("{slots} calls of {nap:?} took {took:.1?}: they run one by one");
        failed(NAME, detail, "serve calls concurrently, or use fewer slots")
    }

    /// Checks that a cancelled tool ends, and the worker lives on.
    pub(super) async fn cancellation(&self) -> Check {
        const NAME: &str = "cancellation";
        if self.tool("sleep").is_none() {
            return left_out(NAME, "sleep(seconds)", "waits");
        }
        let before = self.pid();
        let options = CallOptions::new().timeout(Duration::from_millis(200));
        let call = self
            .snakepit
            .call("sleep")
            .args(args! { "seconds" => 3600.0 });
        match call.options(&options).await {
            Ok(value) => {
                let _: Value = value;
                let help = "wait for the whole time, unless the call is cancelled";
                return failed(NAME, "sleep(3600) returned at once".to_owned(), help);
            }
            Err(error) if error.code() == ErrorCode::CallTimeout => {}
            Err(error) => return failed(NAME, told(&error), "let `sleep` wait"),
        }
        // Waits for a free slot: that of the cancelled call, or one of a new worker.
        let next = self.call("sleep", args! { "seconds" => 0.0 }).await;
        match next {
            Ok(_) if self.pid() == before => {
                Check::ok(NAME, "a cancelled tool ends, and its worker continues")
            }
            Ok(_) => {
                let detail = "a cancelled tool does not end, so its worker was replaced".to_owned();
                let help = "serve `CancelCall`, and name the capability `cancel`";
                Check::new(NAME, CheckStatus::Warning, detail, Some(help.to_owned()))
            }
            Err(error) => failed(NAME, told(&error), "answer calls after a cancellation"),
        }
    }

    fn pid(&self) -> Option<u32> {
        self.snakepit
            .workers()
            .first()
            .and_then(|worker| worker.pid)
    }

    /// Checks that the worker has survived a call that has failed.
    async fn lives(
        &self,
        name: &'static str,
        before: Option<u32>,
        error: &Error,
    ) -> Result<(), Check> {
        let ready = self.snakepit.await_ready(self.timeout).await;
        if ready.is_ok() && self.pid() == before && !matches!(error, Error::WorkerDied { .. }) {
            return Ok(());
        }
        Err(failed(
            name,
            told(error),
            "answer with an error instead of ending the worker",
        ))
    }
}

const STREAMS: &str = "send one chunk for each value, and end the stream after the last";

/// Creates a check that has failed.
pub(super) fn failed(name: &'static str, detail: String, help: &str) -> Check {
    Check::new(name, CheckStatus::Failed, detail, Some(help.to_owned()))
}

/// Creates the check that needs a tool which the worker does not have.
pub(super) fn left_out(name: &'static str, tool: &str, what: &str) -> Check {
    let detail = "not checked".to_owned();
    let help = format!("add a tool {tool} that {what}");
    Check::new(name, CheckStatus::Warning, detail, Some(help))
}

/// Describes an error in a phrase, with its code.
pub(super) fn told(error: &Error) -> String {
    match error {
        Error::Tool(error) => {
            let ToolError { code, .. } = &**error;
            format!("{error} ({code})")
        }
        error => format!("{error} ({})", error.code()),
    }
}

/// Returns a whole number, also from a language that has floating-point numbers only.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) if number.fract() == 0.0 => Some(*number as i64),
        _ => None,
    }
}
