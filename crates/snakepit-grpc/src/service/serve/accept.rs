//! Accepts connections and runs the tasks that serve them.

use std::collections::VecDeque;
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
use super::guard::{Accounts, Guard, GuardedConnection};

/// Pause before the next attempt after the system has failed to accept a connection, for example
/// for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes that a client may send ahead, on one stream and on one connection.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// All tasks of a server. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    tracker: TaskTracker,
    killed: CancellationToken,
}

impl Tasks {
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
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

/// The source of connections.
pub(super) enum Listener {
    Unix {
        listener: UnixListener,
        /// The only user whose processes may connect.
        uid: u32,
    },
    Tcp(TcpListener),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    /// Accepts the next connection. `None` if it was rejected.
    async fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        match self {
            Self::Unix { listener, uid } => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred()?.uid();
                if peer != *uid {
                    tracing::warn!(peer, "a connection of another user was rejected");
                    return Ok(None);
                }
                Ok(Some(Box::new(stream)))
            }
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Some(Box::new(stream)))
            }
        }
    }
}

/// Accepts connections until the server stops.
pub(super) async fn run(listener: Listener, guard: Guard, options: ServeOptions, tasks: Tasks) {
    let connections = Arc::new(Semaphore::new(options.max_connections));
    let (in_requests, in_answers) = (Budget::of_requests(&options), Budget::of_answers(&options));
    let stopping = guard.stopping.clone();
    let (kind, patience) = match &listener {
        Listener::Unix { .. } => ("unix", None),
        Listener::Tcp(_) => ("tcp", Some(options.patience)),
    };
    let mut accepted = 0_u64;
    let mut strangers = Strangers::default();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok(Some(stream)) => {
                    let permit = match Arc::clone(&connections).try_acquire_owned() {
                        Ok(permit) => Ok(permit),
                        Err(_) => {
                            strangers.turn_one_away();
                            Arc::clone(&connections).acquire_owned().await
                        }
                    };
                    accepted += 1;
                    let peer = Peer(format!("client-{kind}-{accepted}").into());
                    let (known, gone) = strangers.add();
                    let accounts = Accounts {
                        requests: Account::new(&in_requests),
                        answers: Account::new(&in_answers),
                    };
                    let counted = accounts.clone();
                    let service = guard.clone().connection(peer, known.clone(), counted);
                    let builder = builder(&options, &tasks);
                    let connection = serve(stream, service, builder, stopping.clone());
                    tasks.spawn(async move {
                        let (_permit, _gone) = (permit, gone.clone().drop_guard());
                        tokio::select! {
                            () = connection => {}
                            () = stranger(known, patience) => {}
                            () = gone.cancelled() => {}
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

/// The connections that have not made a valid request, oldest first. If all connections are taken,
/// the oldest of these is closed, so no number of them locks a client out.
#[derive(Default)]
struct Strangers(VecDeque<Stranger>);

/// One connection: `known` is cancelled by a valid request, `gone` by its end. Cancelling `gone`
/// also ends the connection.
struct Stranger {
    known: CancellationToken,
    gone: CancellationToken,
}

impl Strangers {
    fn add(&mut self) -> (CancellationToken, CancellationToken) {
        let stranger = Stranger {
            known: CancellationToken::new(),
            gone: CancellationToken::new(),
        };
        let tokens = (stranger.known.clone(), stranger.gone.clone());
        self.0
            .retain(|it| !it.known.is_cancelled() && !it.gone.is_cancelled());
        self.0.push_back(stranger);
        tokens
    }

    /// Ends the oldest one, if there is any.
    fn turn_one_away(&mut self) {
        while let Some(Stranger { known, gone }) = self.0.pop_front() {
            if !known.is_cancelled() && !gone.is_cancelled() {
                gone.cancel();
                return;
            }
        }
    }
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
    stopping: CancellationToken,
) {
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = &mut connection => result,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection has ended with an error");
    }
}
