//! Connections to the admin socket: of this user only, and a bounded number.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval};
use tonic::transport::server::Connected;

/// Maximum number of connections at a time; further ones wait in the socket's queue.
const CONNECTIONS: usize = 32;

/// Pause after a connection could not be accepted, for lack of descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Interval between two checks that the socket's file still exists.
const LOOK: Duration = Duration::from_secs(1);

/// An open connection, which counts towards the limit.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    peer: Peer,
    _counted: OwnedSemaphorePermit,
}

/// The process behind a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// The process id, if the system reports it.
    pub(super) pid: Option<u32>,
}

/// Returns the stream of connections from processes of this user. The stream never fails and never
/// ends. `again` returns a new listener if the socket's file has been removed.
pub(super) fn of(
    listener: UnixListener,
    again: impl FnMut() -> Option<UnixListener> + Send,
) -> impl Stream<Item = io::Result<Connection>> {
    let counted = Arc::new(Semaphore::new(CONNECTIONS));
    let us = nix::unistd::geteuid().as_raw();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = (listener, again, ticks, counted);
    unfold(
        state,
        move |(mut listener, mut again, mut ticks, counted)| async move {
            loop {
                let permit = Arc::clone(&counted).acquire_owned().await.ok()?;
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = ticks.tick() => {
                        if let Some(back) = again() {
                            tracing::info!("the admin socket was removed and has been created again");
                            listener = back;
                        }
                        continue;
                    }
                };
                match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?, stream))) {
                    Ok((peer, stream)) if peer.uid() == us => {
                        let connection = Connection {
                            stream,
                            peer: Peer {
                                pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()),
                            },
                            _counted: permit,
                        };
                        return Some((Ok(connection), (listener, again, ticks, counted)));
                    }
                    Ok((peer, _)) => {
                        tracing::warn!(
                            uid = peer.uid(),
                            "a connection of another user was rejected"
                        );
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a connection to the admin socket could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        },
    )
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
