//! Running a host tool: within its deadline, with its panics contained.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::FutureExt;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::journal::Journal;
use super::tool::Run;
use super::{Fault, HostTool, Inner, ToolCall, ToolContext, ToolStream};
use crate::code::ErrorCode;
use crate::error::ToolError;
use crate::state::{Origin, SessionHold, Sessions, StateError};
use crate::value::{Payload, names};

/// A call that passed the checks and may begin.
struct Admitted {
    name: Arc<str>,
    tool: Arc<HostTool>,
    context: ToolContext,
    deadline: Option<Instant>,
    /// Cancels the token of the tool when the call is dropped.
    guard: DropGuard,
    /// Keeps the session of the call from expiring.
    hold: Option<SessionHold>,
}

impl Inner {
    /// Checks everything but the arguments.
    fn admit(&self, mut call: ToolCall, name: &str, args: &Payload) -> Result<Admitted, Fault> {
        if self.sessions.is_closed() {
            return Err(super::fault(StateError::Closed));
        }
        let hold = self.hold(&mut call)?;
        let found = self.registry.find(call.session.as_ref(), name);
        let (name, tool) = found.map_err(|near| unknown(name, &near))?;
        let (depth, limit) = (call.chain.depth(), self.config.max_depth);
        if depth > limit {
            let message =
                format!("host tool `{name}`: calls are nested {depth} deep, more than {limit}");
            let help = "end the recursion, or raise `host_tools.max_depth`";
            return Err(failure(ErrorCode::TooDeep, message, help));
        }
        self.check_size(&name, "arguments", args)?;
        let deadline = call.deadline;
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(late(&name));
        }
        let token = CancellationToken::new();
        let guard = token.clone().drop_guard();
        let session = hold.as_ref().map(SessionHold::session);
        let session = session.map(|session| match &call.worker {
            Some(worker) => session.with_origin(Origin::Worker(worker.clone())),
            None => session.clone(),
        });
        let context = ToolContext::new(Arc::clone(&name), call, session, token);
        Ok(Admitted {
            name,
            tool,
            context,
            deadline,
            guard,
            hold,
        })
    }

    /// Holds the session of a call. `None` if the host does not have it.
    fn hold(&self, call: &mut ToolCall) -> Result<Option<SessionHold>, Fault> {
        let Some(id) = &call.session else {
            return Ok(None);
        };
        let hold = call.hold.take();
        if let Some(hold) = hold.filter(|hold| hold.session().is_in(&self.sessions)) {
            return Ok(Some(hold));
        }
        Sessions::check_id(id).map_err(super::fault)?;
        Ok(self.sessions.get(id).and_then(|it| it.hold()).ok())
    }

    fn check_size(&self, name: &str, what: &str, payload: &Payload) -> Result<(), Fault> {
        let (size, limit) = (payload.bytes.len(), self.config.max_payload);
        if size <= limit {
            return Ok(());
        }
        let message = format!("host tool `{name}`: {what} of {size} bytes are more than {limit}");
        let help = "send less at a time, or raise `host_tools.max_payload`";
        Err(failure(ErrorCode::PayloadTooLarge, message, help))
    }

    pub(super) async fn call(
        &self,
        mut call: ToolCall,
        name: &str,
        args: Payload,
    ) -> Result<Payload, Fault> {
        let mut journal = Journal::begin(self, &mut call, name);
        let result = self.run(call, name, args).await;
        journal.end(result.as_ref().err().map(|error| error.code));
        result
    }

    async fn run(&self, call: ToolCall, name: &str, args: Payload) -> Result<Payload, Fault> {
        let Admitted {
            name,
            tool,
            context,
            deadline,
            guard: _guard,
            hold,
        } = self.admit(call, name, &args)?;
        let run = async {
            match &tool.run {
                Run::Sync(run) => {
                    let run = Arc::clone(run);
                    self.blocking(&name, run, context, args, hold.clone()).await
                }
                Run::Async(run) => {
                    // The function is called inside the block, because it may panic before it
                    // returns its future.
                    let running = AssertUnwindSafe(async { run(context, args).await });
                    let ended = running.catch_unwind().await;
                    ended.unwrap_or_else(|panic| Err(panicked(&name, &*panic)))
                }
                Run::Stream(_) => Err(wrong_kind(&name, "returns a stream", "open its stream")),
            }
        };
        let result = match deadline {
            Some(deadline) => timeout_at(deadline, run)
                .await
                .unwrap_or_else(|_| Err(late(&name))),
            None => run.await,
        };
        result.and_then(|reply| {
            self.check_size(&name, "results", &reply)?;
            Ok(reply)
        })
    }

    async fn blocking(
        &self,
        name: &str,
        run: Arc<dyn Fn(ToolContext, Payload) -> Result<Payload, Fault> + Send + Sync>,
        context: ToolContext,
        args: Payload,
        hold: Option<SessionHold>,
    ) -> Result<Payload, Fault> {
        let permit = Arc::clone(&self.blocking).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let running = tokio::task::spawn_blocking(move || {
            let (_permit, _hold) = (permit, hold);
            run(context, args)
        });
        running
            .await
            .unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => Err(panicked(name, &*panic)),
                Err(_) => Err(super::fault(ToolError::new(
                    ErrorCode::Cancelled,
                    format!("host tool `{name}`: the host is shutting down"),
                ))),
            })
    }

    pub(super) fn open_stream(
        self: &Arc<Self>,
        mut call: ToolCall,
        name: &str,
        args: Payload,
    ) -> Result<ToolStream, Fault> {
        let mut journal = Journal::begin(self, &mut call, name);
        match self.open(call, name, args) {
            Ok(mut stream) => {
                stream.journal = Some(journal);
                Ok(Box::pin(stream))
            }
            Err(error) => {
                journal.end(Some(error.code));
                Err(error)
            }
        }
    }

    fn open(self: &Arc<Self>, call: ToolCall, name: &str, args: Payload) -> Result<Guarded, Fault> {
        let admitted = self.admit(call, name, &args)?;
        let (name, context) = (admitted.name, admitted.context);
        let Run::Stream(run) = &admitted.tool.run else {
            return Err(wrong_kind(&name, "returns one result", "call it"));
        };
        let opened = catch_unwind(AssertUnwindSafe(|| run(context, args)));
        let results = opened.unwrap_or_else(|panic| Err(panicked(&name, &*panic)))?;
        let timer = |deadline| Box::pin(sleep_until(deadline));
        Ok(Guarded {
            inner: Arc::clone(self),
            name,
            results: Some(results),
            deadline: admitted.deadline.map(timer),
            _guard: admitted.guard,
            _hold: admitted.hold,
            journal: None,
        })
    }
}

/// The results of a tool, up to its deadline or its first error.
struct Guarded {
    inner: Arc<Inner>,
    name: Arc<str>,
    results: Option<ToolStream>,
    deadline: Option<Pin<Box<Sleep>>>,
    _guard: DropGuard,
    _hold: Option<SessionHold>,
    /// Ended together with the stream.
    journal: Option<Journal>,
}

impl Guarded {
    /// Ends the tool, after its last result or with this error.
    fn end(&mut self, error: Option<ErrorCode>) {
        self.results = None;
        if let Some(mut journal) = self.journal.take() {
            journal.end(error);
        }
    }
}

impl Stream for Guarded {
    type Item = Result<Payload, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(results) = &mut this.results else {
            return Poll::Ready(None);
        };
        // The deadline comes first: a tool that always has a result ready must not outrun it.
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            this.end(Some(ErrorCode::HostToolTimeout));
            return Poll::Ready(Some(Err(late(&this.name))));
        }
        let polled = catch_unwind(AssertUnwindSafe(|| results.as_mut().poll_next(context)));
        let item = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(item)) => item,
            Err(panic) => Some(Err(panicked(&this.name, &*panic))),
        };
        let item: Option<Result<Payload, Fault>> = item.map(|item| {
            let reply = item?;
            this.inner.check_size(&this.name, "results", &reply)?;
            Ok(reply)
        });
        match &item {
            Some(Ok(_)) => {}
            Some(Err(error)) => this.end(Some(error.code)),
            None => this.end(None),
        }
        Poll::Ready(item)
    }
}

fn unknown(name: &str, near: &[String]) -> Fault {
    let message = format!(
        "host tool `{}` does not exist or is not exposed",
        names::short(name)
    );
    let help = match near.first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => "register it, and mark it as exposed".into(),
    };
    failure(ErrorCode::UnknownHostTool, message, help)
}

fn late(name: &str) -> Fault {
    let message = format!("host tool `{name}` did not end in time");
    let help = "allow the call more time, or make the tool faster";
    failure(ErrorCode::HostToolTimeout, message, help)
}

fn wrong_kind(name: &str, what: &str, instead: &str) -> Fault {
    let message = format!("host tool `{name}` {what}");
    failure(
        ErrorCode::WrongCallKind,
        message,
        format!("{instead} instead"),
    )
}

fn panicked(name: &str, panic: &(dyn Any + Send)) -> Fault {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = format!(
        "host tool `{name}` panicked: {}",
        text.unwrap_or("no message")
    );
    let help = "fix the host tool; the host continues to run";
    failure(ErrorCode::HostToolPanicked, message, help)
}

fn failure(code: ErrorCode, message: String, help: impl Into<String>) -> Fault {
    let mut error = Fault::from(ToolError::new(code, message));
    error.help = help.into();
    error
}
