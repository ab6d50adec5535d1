//! A client of the admin service of one host.

use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::StreamExt as _;
use serde_json::Value as Json;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Response, Status};

use super::entries::{EventEntry, LogEntry, WorkerStacks};
use super::hosts::RunningHost;
use super::pb::admin_client::AdminClient as Generated;
use super::{AdminError, PROTOCOL, SOCKET, pb};
use crate::{Report, untrusted_json};

/// Time in which a live host must accept a connection, and answer a request.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Interval between two checks of a stopped host.
const LOOK: Duration = Duration::from_millis(20);

/// Largest report in bytes; that of 10,000 workers has some 6 MB.
const LARGEST: usize = 64 << 20;

/// Largest other answer in bytes: the stacks of a worker, an event, a line.
const SMALL: usize = 4 << 20;

/// Flow-control window: bytes that the host may send before the client has read them.
const WINDOW: u32 = 4 << 20;

/// A connection to a host. It is read-only until [`allow_actions`](Self::allow_actions) permits
/// requests that change the host.
#[derive(Clone, Debug)]
pub struct Client {
    run: String,
    version: String,
    allow_actions: bool,
    pub(super) inner: Generated<Channel>,
}

impl Client {
    /// Connects to a host and checks that both ends have the same version of the protocol.
    ///
    /// # Errors
    /// [`AdminError::SwitchedOff`], [`AdminError::Gone`], [`AdminError::Stopped`],
    /// [`AdminError::Silent`], [`AdminError::Version`], [`AdminError::Socket`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn connect(host: &RunningHost) -> Result<Self, AdminError> {
        if host.is_stopped() {
            // The queue of its socket may be full, and then connecting blocks.
            let goes_on = async {
                let mut ticks = tokio::time::interval(LOOK);
                while host.is_stopped() {
                    ticks.tick().await;
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
        // Connects once only: a second connection could reach another host.
        let connector = tower::service_fn(move |_: Uri| {
            let stream = stream.take().map(hyper_util::rt::TokioIo::new);
            std::future::ready(
                stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)),
            )
        });
        let endpoint = Endpoint::from_static("http://localhost")
            .connect_timeout(PATIENCE)
            // Large enough that a report of many workers arrives without waiting for window
            // updates.
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let channel = endpoint
            .connect_with_connector(connector)
            .await
            .map_err(|_| gone())?;
        let mut inner = Generated::new(channel).max_decoding_message_size(SMALL);
        let reply = answered(&run, PATIENCE, inner.host(pb::HostRequest {})).await?;
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

    /// Returns the id of the host's run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns the version of the library in the host.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Permits requests that change the host: [`recycle`](Self::recycle), [`drain`](Self::drain)
    /// and [`cancel_call`](Self::cancel_call). The host emits an event for each.
    #[must_use]
    pub const fn allow_actions(mut self, allow: bool) -> Self {
        self.allow_actions = allow;
        self
    }

    /// Returns the client for requests whose answers may be large.
    pub(super) fn large(&self) -> Generated<Channel> {
        self.inner.clone().max_decoding_message_size(LARGEST)
    }

    pub(super) fn failed(&self) -> impl Fn(Status) -> AdminError + use<> {
        let run = self.run.clone();
        move |status| AdminError::of(&run, &status)
    }

    /// Returns the state of the host. This process measures the memory and the CPU time of the
    /// workers.
    ///
    /// # Errors
    /// [`AdminError::Gone`], [`AdminError::Silent`], [`AdminError::Refused`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn report(&mut self) -> Result<Report, AdminError> {
        let mut report = self.look().await?;
        report.measure();
        Ok(report)
    }

    /// Returns the state of the host without the memory and the CPU time of the workers.
    ///
    /// # Errors
    /// As [`report`](Self::report).
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn look(&mut self) -> Result<Report, AdminError> {
        let mut large = self.large();
        let reply = answered(&self.run, PATIENCE, large.report(pb::ReportRequest {})).await?;
        let read = untrusted_json::read(&reply.report, untrusted_json::REPORT);
        read.map_err(|error| AdminError::Refused {
            code: snakepit_core::error::ErrorCode::Protocol,
            message: format!("the report of the host cannot be read: {error}"),
        })
    }

    /// Returns the stacks of one worker, of all workers of a pool, or of all workers, in the order
    /// of their answers. Each worker has the time `wait` to answer.
    ///
    /// # Errors
    /// As [`report`](Self::report); [`AdminError::Refused`] for an unknown name.
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
        let stream = answered(&self.run, PATIENCE, self.inner.stacks(request)).await?;
        // A host that sends more than it was asked for is not read further.
        let most = if worker.is_some() { 1 } else { usize::MAX };
        Ok(stream
            .take(most)
            .map(move |item| item.map(WorkerStacks::from).map_err(&failed)))
    }

    /// Returns the events after the number `after` whose names match `pattern`. With `follow`, the
    /// stream continues with new events.
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
        let stream = answered(&self.run, PATIENCE, self.inner.events(request)).await?;
        Ok(stream.map(move |item| {
            let item = item.map_err(&failed)?;
            Ok(EventEntry {
                number: item.number,
                event: serde_json::from_slice(&item.event).unwrap_or(Json::Null),
            })
        }))
    }

    /// Returns the last lines of workers, at most `tail` of them unless `tail` is 0. With `follow`,
    /// the stream continues with new lines.
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
        let stream = answered(&self.run, PATIENCE, self.inner.logs(request)).await?;
        let most = match usize::try_from(tail) {
            Ok(tail) if tail > 0 && !follow => tail,
            _ => usize::MAX,
        };
        Ok(stream
            .take(most)
            .map(move |item| item.map(LogEntry::from).map_err(&failed)))
    }

    fn worker(&self, worker: &str) -> pb::WorkerRequest {
        pb::WorkerRequest {
            allow_actions: self.allow_actions,
            worker: worker.to_owned(),
        }
    }

    /// Replaces a worker. Returns the name of the replacement once it has taken over.
    ///
    /// # Errors
    /// [`AdminError::Refused`]: actions are not allowed, there is no such worker, or the
    /// replacement did not start.
    ///
    /// # Cancel safety
    /// Once polled, the replacement continues without the caller.
    pub async fn recycle(&mut self, worker: &str) -> Result<String, AdminError> {
        let reply = self.inner.recycle(self.worker(worker)).await;
        Ok(reply.map_err(self.failed())?.into_inner().replacement)
    }

    /// Drains a worker: it receives no further calls, a replacement starts at once, and its running
    /// calls finish.
    ///
    /// # Errors
    /// As [`recycle`](Self::recycle).
    ///
    /// # Cancel safety
    /// Once polled, the worker drains without the caller.
    pub async fn drain(&mut self, worker: &str) -> Result<(), AdminError> {
        let request = self.worker(worker);
        answered(&self.run, PATIENCE, self.inner.drain(request))
            .await
            .map(drop)
    }

    /// Requests that a worker cancel the call with this number.
    ///
    /// # Errors
    /// As [`recycle`](Self::recycle); also if the call is not running.
    ///
    /// # Cancel safety
    /// Once polled, the request is sent.
    pub async fn cancel_call(&mut self, call: u64) -> Result<(), AdminError> {
        let request = pb::CancelCallRequest {
            allow_actions: self.allow_actions,
            call,
        };
        let reply = answered(&self.run, PATIENCE, self.inner.cancel_call(request)).await;
        reply.map(drop)
    }
}

/// Waits up to `patience` for the answer to a request, or for the start of an answer that is a
/// stream.
///
/// # Errors
/// [`AdminError::Silent`] if it does not come in time, and the error that the host sends.
pub(super) async fn answered<T>(
    run: &str,
    patience: Duration,
    reply: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, AdminError> {
    let reply = tokio::time::timeout(patience, reply).await;
    let reply = reply.map_err(|_| AdminError::Silent {
        run: run.to_owned(),
        seconds: patience.as_secs(),
    })?;
    let reply = reply.map_err(|status| AdminError::of(run, &status))?;
    Ok(reply.into_inner())
}

/// Converts a failed connection attempt into an error.
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
