//! Accepts connections and runs the tasks that serve them.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::peer::Peer;
use super::ServeOptions;
use super::account::{Account, Budget};
use super::clients::{Clients, overdue};
use super::guard::{Accounts, Guard, GuardedConnection};
use super::places::{Places, Share};
use super::reading::unless_stalled;

/// Pause before the next attempt after the system has failed to accept a connection, for example
/// for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes that a client may send ahead, on one stream and on one connection.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// All tasks of a server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    killed: CancellationToken,
    stall_timeout: Duration,
}

impl Tasks {
    pub(super) fn new(options: &ServeOptions) -> Self {
        Self {
            tracker: TaskTracker::new(),
            killed: CancellationToken::new(),
            stall_timeout: options.stall_timeout,
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output: Send> + Send + 'static) {
        let killed = self.killed.clone();
        self.tracker
            .spawn(async move { drop(killed.run_until_cancelled(task).await) });
    }

    /// Waits until all tasks have ended. `false` if `within` passes first.
    pub(super) async fn ended(&self, within: Duration) -> bool {
        self.tracker.close();
        timeout(within, self.tracker.wait()).await.is_ok()
    }

    /// Drops all tasks and waits until they are gone.
    pub(super) async fn kill(&self) {
        self.kill_now();
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub(super) fn kill_now(&self) {
        self.killed.cancel();
    }
}

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    /// Runs the task of one stream.
    fn execute(&self, task: F) {
        self.spawn(unless_stalled(task, self.stall_timeout));
    }
}

/// The source of connections.
pub(super) enum Listener {
    Unix {
        listener: UnixListener,
        /// The only user whose processes may connect.
        uid: u32,
    },
    Tcp(TcpListener, Security),
}

/// The encryption of a listener. `None` for none.
#[cfg(feature = "tls")]
pub(super) type Security = Option<super::TlsIdentity>;
#[cfg(not(feature = "tls"))]
pub(super) type Security = Option<std::convert::Infallible>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    fn security(&self) -> Security {
        match self {
            Self::Unix { .. } => None,
            Self::Tcp(_, security) => security.clone(),
        }
    }

    /// Accepts the next connection, and returns it with the process at its other end if that is
    /// known. `None` if it was rejected.
    async fn accept(&self) -> io::Result<Option<(Box<dyn Stream>, Option<u32>)>> {
        match self {
            Self::Unix { listener, uid } => {
                let (stream, _) = listener.accept().await?;
                let credentials = stream.peer_cred()?;
                let peer = credentials.uid();
                if peer != *uid {
                    tracing::warn!(peer, "a connection of another user was rejected");
                    return Ok(None);
                }
                let process = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
                Ok(Some((Box::new(stream), process)))
            }
            Self::Tcp(listener, _) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Some((Box::new(stream), None)))
            }
        }
    }
}

/// Makes the TLS handshake of a connection, if its listener is encrypted.
#[cfg(feature = "tls")]
async fn secured(stream: Box<dyn Stream>, security: Security) -> io::Result<Box<dyn Stream>> {
    match security {
        Some(identity) => Ok(Box::new(identity.0.accept(stream).await?)),
        None => Ok(stream),
    }
}

#[cfg(not(feature = "tls"))]
#[expect(
    clippy::unused_async,
    reason = "with TLS there is a handshake to wait for"
)]
async fn secured(stream: Box<dyn Stream>, _: Security) -> io::Result<Box<dyn Stream>> {
    Ok(stream)
}

/// Accepts connections until the server stops.
pub(super) async fn run(listener: Listener, guard: Guard, options: ServeOptions, tasks: Tasks) {
    let connections = Arc::new(Semaphore::new(options.max_connections));
    let places = Places::new(&options);
    let (in_requests, in_answers) = (Budget::of_requests(&options), Budget::of_answers(&options));
    let stopping = guard.stopping.clone();
    let (kind, patience) = match &listener {
        Listener::Unix { .. } => ("unix", None),
        Listener::Tcp(..) => ("tcp", Some(options.patience)),
    };
    let security = listener.security();
    let mut accepted = 0_u64;
    let mut clients = Clients::default();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok(Some((stream, process))) => {
                    let permit = loop {
                        match Arc::clone(&connections).try_acquire_owned() {
                            Ok(permit) => break permit,
                            Err(_) => clients.turn_one_away(process),
                        }
                        let next = Arc::clone(&connections).acquire_owned();
                        if let Ok(Ok(permit)) = timeout(PAUSE, next).await {
                            break permit;
                        }
                    };
                    accepted += 1;
                    let peer = Peer {
                        name: format!("client-{kind}-{accepted}").into(),
                        process,
                    };
                    let accounts = Accounts {
                        requests: Account::new(&in_requests),
                        answers: Account::new(&in_answers),
                        share: Share::new(&places),
                    };
                    let client = clients.add(process, &accounts.share, &stopping);
                    let (known, gone) = (client.known.clone(), client.gone.clone());
                    let leave = client.leave.clone();
                    let strange = still_strange(known.clone(), leave.clone());
                    let overdue = overdue(client, stopping.clone());
                    let counted = accounts.clone();
                    let service = guard.clone().connection(peer, known.clone(), counted);
                    let builder = builder(&options, &tasks);
                    let security = security.clone();
                    let connection = async move {
                        // In the task of the connection, since a client may take its time.
                        match secured(stream, security).await {
                            Ok(stream) => serve(stream, service, builder, leave).await,
                            Err(error) => tracing::debug!(%error, "a TLS handshake has failed"),
                        }
                    };
                    tasks.spawn(async move {
                        let (_permit, _gone) = (permit, gone.clone().drop_guard());
                        tokio::select! {
                            () = connection => {}
                            () = stranger(known, patience) => {}
                            () = strange => {}
                            () = gone.cancelled() => {}
                            () = overdue => {}
                            () = accounts.requests.stalled(Account::is_incomplete) => {}
                            () = accounts.answers.stalled(Account::is_open) => {}
                        }
                    });
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    };
    let () = stopping
        .run_until_cancelled(accepting)
        .await
        .unwrap_or_default();
}

/// Resolves when a client has not made a valid request in time.
async fn stranger(known: CancellationToken, patience: Option<Duration>) {
    match patience {
        Some(patience) if timeout(patience, known.cancelled()).await.is_err() => {
            tracing::debug!("a connection without a valid request is closed");
        }
        _ => std::future::pending().await,
    }
}

/// Resolves when a client shall leave that has not made a valid request: its TLS handshake, or the
/// beginning of its HTTP/2, may never come.
async fn still_strange(known: CancellationToken, leave: CancellationToken) {
    leave.cancelled().await;
    if known.is_cancelled() {
        std::future::pending().await
    }
}

/// Configures HTTP/2. Clients may ping as often as they like, because pings are not counted.
fn builder(options: &ServeOptions, tasks: &Tasks) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(tasks.clone());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_concurrent_streams(options.max_streams);
    builder
}

async fn serve(
    stream: Box<dyn Stream>,
    service: GuardedConnection,
    builder: http2::Builder<Tasks>,
    leave: CancellationToken,
) {
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = &mut connection => result,
        () = leave.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection has ended with an error");
    }
}
