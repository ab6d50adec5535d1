//! A client of the admin service of one host.

use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::StreamExt as _;
use serde_json::Value as Json;
use snakepit_core::{StackFrame, Stacks, ThreadStack};
use tonic::transport::{Channel, Endpoint, Uri};

use super::hosts::RunningHost;
use super::pb;
use super::pb::admin_client::AdminClient as Generated;
use super::{AdminError, PROTOCOL, SOCKET};
use crate::Report;

/// Time in which a host that lives answers who it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a host that is stopped is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes of the largest answer: a report of 10,000 workers has some 6 MB.
const LARGEST: usize = 64 << 20;

/// Bytes that the host may send before they are read.
const WINDOW: u32 = 4 << 20;

/// A connection to a host. It never harms the host: requests that change something need to be allowed by
/// [`allow_actions`](Self::allow_actions).
#[derive(Clone, Debug)]
pub struct Client {
    run: String,
    version: String,
    allow_actions: bool,
    pub(super) inner: Generated<Channel>,
}

/// The stacks of one worker.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct WorkerStacks {
    /// Pool.
    pub pool: String,
    /// Worker.
    pub worker: String,
    /// Its threads. `None` if it did not answer in time.
    pub stacks: Option<Stacks>,
}

/// An event of a host.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct EventEntry {
    /// Its number, from 1: a gap tells that events between were dropped.
    pub number: u64,
    /// One flat object: `at`, `event`, and its fields.
    pub event: Json,
}

/// A line that a worker has written.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// Its number, from 1: a gap tells that lines between were dropped.
    pub number: u64,
    /// When the host read it, in seconds since 1970.
    pub at: f64,
    /// Worker.
    pub worker: String,
    /// `stdout`, `stderr`, or the name of a logger.
    pub source: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Text.
    pub text: String,
}

impl Client {
    /// Connects to a host, and checks that it speaks the same version of the protocol.
    ///
    /// # Errors
    /// [`AdminError::SwitchedOff`], [`AdminError::Gone`], [`AdminError::Stopped`], [`AdminError::Version`], [`AdminError::Socket`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn connect(host: &RunningHost) -> Result<Self, AdminError> {
        if host.is_stopped() {
            // Its socket may be full, and connecting wait for it.
            let goes_on = async {
                let mut looks = tokio::time::interval(LOOK);
                while host.is_stopped() {
                    looks.tick().await;
                }
            };
            tokio::select! {
                error = host.stopped() => return Err(error),
                () = goes_on => {}
            }
        }
        tokio::select! {
            error = host.stopped() => Err(error),
            connected = Self::attach(host) => connected,
        }
    }

    async fn attach(host: &RunningHost) -> Result<Self, AdminError> {
        let run = host.run.clone();
        let stream = host
            .files
            .connect(SOCKET)
            .map_err(|error| unconnected(&run, error))?;
        let gone = || AdminError::Gone { run: run.clone() };
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| tokio::net::UnixStream::from_std(stream));
        let mut stream = Some(stream.map_err(|_| gone())?);
        // There is one connection: another one might be to another host.
        let connector = tower::service_fn(move |_: Uri| {
            let stream = stream.take().map(hyper_util::rt::TokioIo::new);
            std::future::ready(
                stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)),
            )
        });
        let endpoint = Endpoint::from_static("http://localhost")
            .connect_timeout(PATIENCE)
            // A report of many workers comes without waiting for room.
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let channel = endpoint
            .connect_with_connector(connector)
            .await
            .map_err(|_| gone())?;
        let mut inner = Generated::new(channel).max_decoding_message_size(LARGEST);
        let asked = tokio::time::timeout(PATIENCE, inner.host(pb::HostRequest {})).await;
        let reply = asked.map_err(|_| gone())?;
        let reply = reply
            .map_err(|status| AdminError::of(&run, &status))?
            .into_inner();
        if reply.protocol != PROTOCOL {
            return Err(AdminError::Version {
                run,
                theirs: reply.protocol,
                ours: PROTOCOL,
            });
        }
        Ok(Self {
            run,
            version: reply.version,
            allow_actions: false,
            inner,
        })
    }

    /// The run of the host.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Version of the library in the host.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Lets this client do what changes the host: [`recycle`](Self::recycle), [`drain`](Self::drain) and
    /// [`cancel_call`](Self::cancel_call). Each becomes an event of the host.
    #[must_use]
    pub const fn allow_actions(mut self, allow: bool) -> Self {
        self.allow_actions = allow;
        self
    }

    pub(super) fn failed(&self) -> impl Fn(tonic::Status) -> AdminError + use<> {
        let run = self.run.clone();
        move |status| AdminError::of(&run, &status)
    }

    /// The state of everything. The memory and the CPU time of workers are filled in here, in this process.
    ///
    /// # Errors
    /// [`AdminError::Gone`], [`AdminError::Refused`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn report(&mut self) -> Result<Report, AdminError> {
        let mut report = self.look().await?;
        report.measure();
        Ok(report)
    }

    /// The same without the memory and the CPU time of workers.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn look(&mut self) -> Result<Report, AdminError> {
        let reply = self.inner.report(pb::ReportRequest {}).await;
        let reply = reply.map_err(self.failed())?.into_inner();
        let read = serde_json::from_slice(&reply.report);
        read.map_err(|error| AdminError::Refused {
            code: snakepit_core::ErrorCode::Protocol,
            message: format!("the report of the host cannot be read: {error}"),
        })
    }

    /// The stacks of a worker, of all workers of a pool, or of all, as they answer. Each has `wait` to do so.
    ///
    /// # Errors
    /// As [`report`](Self::report); [`AdminError::Refused`] for a name that is not there.
    pub async fn stacks(
        &mut self,
        pool: Option<&str>,
        worker: Option<&str>,
        wait: Duration,
    ) -> Result<impl Stream<Item = Result<WorkerStacks, AdminError>> + use<>, AdminError> {
        let request = pb::StacksRequest {
            pool: pool.unwrap_or_default().to_owned(),
            worker: worker.unwrap_or_default().to_owned(),
            wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
        };
        let failed = self.failed();
        let stream = self.inner.stacks(request).await.map_err(self.failed())?;
        Ok(stream
            .into_inner()
            .map(move |item| Ok(stacks_of(item.map_err(&failed)?))))
    }

    /// The events after the one with this number whose names match, and with `follow` those that happen from then on.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    pub async fn events(
        &mut self,
        pattern: &str,
        after: u64,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<EventEntry, AdminError>> + use<>, AdminError> {
        let request = pb::EventsRequest {
            pattern: pattern.to_owned(),
            after,
            follow,
        };
        let failed = self.failed();
        let stream = self.inner.events(request).await.map_err(self.failed())?;
        Ok(stream.into_inner().map(move |item| {
            let item = item.map_err(&failed)?;
            Ok(EventEntry {
                number: item.number,
                event: serde_json::from_slice(&item.event).unwrap_or(Json::Null),
            })
        }))
    }

    /// The last lines of workers, at most `tail` of them if that is not 0, and with `follow` those that come from then on.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    pub async fn logs(
        &mut self,
        pool: Option<&str>,
        worker: Option<&str>,
        tail: u32,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<LogEntry, AdminError>> + use<>, AdminError> {
        let request = pb::LogsRequest {
            pool: pool.unwrap_or_default().to_owned(),
            worker: worker.unwrap_or_default().to_owned(),
            tail,
            follow,
        };
        let failed = self.failed();
        let stream = self.inner.logs(request).await.map_err(self.failed())?;
        Ok(stream.into_inner().map(move |item| {
            let item = item.map_err(&failed)?;
            Ok(LogEntry {
                number: item.number,
                at: item.at,
                worker: item.worker,
                source: item.source,
                level: item.level,
                text: item.text,
            })
        }))
    }

    fn worker(&self, worker: &str) -> pb::WorkerRequest {
        pb::WorkerRequest {
            allow_actions: self.allow_actions,
            worker: worker.to_owned(),
        }
    }

    /// Replaces a worker; returns the name of its replacement once that has taken over.
    ///
    /// # Errors
    /// [`AdminError::Refused`]: actions are not allowed, there is no such worker, or the replacement did not start.
    ///
    /// # Cancel safety
    /// Once polled, the replacement goes on.
    pub async fn recycle(&mut self, worker: &str) -> Result<String, AdminError> {
        let reply = self.inner.recycle(self.worker(worker)).await;
        Ok(reply.map_err(self.failed())?.into_inner().replacement)
    }

    /// Gives a worker no further calls and replaces it at once; its calls go on to their end.
    ///
    /// # Errors
    /// As [`recycle`](Self::recycle).
    ///
    /// # Cancel safety
    /// Once polled, the worker drains.
    pub async fn drain(&mut self, worker: &str) -> Result<(), AdminError> {
        let reply = self.inner.drain(self.worker(worker)).await;
        reply.map(drop).map_err(self.failed())
    }

    /// Asks a worker to stop the call of this number.
    ///
    /// # Errors
    /// As [`recycle`](Self::recycle), or the call does not run.
    ///
    /// # Cancel safety
    /// Once polled, the worker is asked.
    pub async fn cancel_call(&mut self, call: u64) -> Result<(), AdminError> {
        let request = pb::CancelCallRequest {
            allow_actions: self.allow_actions,
            call,
        };
        let reply = self.inner.cancel_call(request).await;
        reply.map(drop).map_err(self.failed())
    }
}

/// Why a socket gives no connection.
fn unconnected(run: &str, error: snakepit_registry::Error) -> AdminError {
    use std::io::ErrorKind;

    let run = run.to_owned();
    match &error {
        snakepit_registry::Error::Io { source, .. } => match source.kind() {
            ErrorKind::NotFound => AdminError::SwitchedOff { run },
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => AdminError::Gone { run },
            _ => AdminError::Socket { run, source: error },
        },
        _ => AdminError::Socket { run, source: error },
    }
}

fn stacks_of(message: pb::WorkerStacks) -> WorkerStacks {
    let threads = message.threads.into_iter().map(|thread| ThreadStack {
        name: thread.name,
        id: thread.id,
        call: (thread.call > 0).then_some(thread.call),
        frames: thread
            .frames
            .into_iter()
            .map(|frame| StackFrame {
                file: frame.file,
                line: frame.line,
                function: frame.function,
            })
            .collect(),
    });
    let stacks = Stacks {
        threads: threads.collect(),
        truncated: message.truncated,
    };
    WorkerStacks {
        pool: message.pool,
        worker: message.worker,
        stacks: (!message.silent).then_some(stacks),
    }
}
