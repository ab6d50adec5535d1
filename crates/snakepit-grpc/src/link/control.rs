//! `ControlClient`: the control connection of a worker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::{CallId, Stopped};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::outbox::Outbox;
use super::parser::{Parsed, Parser, ProtocolError};
use super::stops::Stops;
use crate::frame::{Header, Kind};
use crate::pb;

/// The host's end of a control connection. The worker exits when it is dropped.
#[derive(Debug)]
pub struct ControlClient {
    outbox: Arc<Outbox>,
    ended: watch::Receiver<Option<Arc<str>>>,
    stops: Arc<Stops>,
    _tasks: JoinSet<()>,
}

impl ControlClient {
    /// Takes a connection, after its preamble.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        let outbox = Arc::new(Outbox::new(write));
        let (sender, ended) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let stops = Arc::new(Stops::default());
        let reports = Arc::clone(&stops);
        tasks.spawn(async move {
            let reason = read_all(read, &reports).await;
            sender.send_replace(Some(reason.into()));
        });
        let flusher = Arc::clone(&outbox);
        tasks.spawn(async move { flusher.flush_forever().await });
        Self {
            outbox,
            ended,
            stops,
            _tasks: tasks,
        }
    }

    /// Makes the tool of this call stop, within `grace`: the worker chooses its means by the time
    /// that there is. It returns at once; a call that is over is left alone.
    pub fn cancel(&self, call: CallId, grace: Duration) {
        // Zero would say that there is no limit.
        let grace_us = u64::try_from(grace.as_micros()).unwrap_or(u64::MAX).max(1);
        let head = pb::Cancel { grace_us };
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(&head.encode_to_vec());
        // Without a connection the worker is ending anyway.
        let _ = self
            .outbox
            .send(Header::new(Kind::Cancel, call.0), encode, &Bytes::new());
    }

    /// What ended a cancelled call, once the worker has told; once for each call.
    pub async fn stopped(&self, call: CallId) -> Stopped {
        self.stops.take(call).await
    }

    /// Resolves with the reason when the connection has ended.
    pub async fn ended(&self) -> Arc<str> {
        let mut ended = self.ended.clone();
        let reason = ended
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| "closed its control connection".into())
    }
}

/// Reads signs of life and reports until the connection ends; returns why it did.
async fn read_all(mut stream: OwnedReadHalf, stops: &Stops) -> String {
    let mut parser = Parser::new(0);
    loop {
        match stream.read_buf(parser.buffer()).await {
            Ok(0) => return "closed its control connection".to_owned(),
            Ok(_) => {}
            Err(error) => return format!("lost its control connection: {error}"),
        }
        loop {
            let error = match parser.next_frame() {
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Frame { header, .. }) if header.kind == Kind::Pong => continue,
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::Stopped => {
                    match pb::Stopped::decode(head) {
                        Ok(stopped) => {
                            stops.put(CallId(header.call), stopped);
                            continue;
                        }
                        Err(error) => return format!("broke the protocol: {error}"),
                    }
                }
                Ok(Parsed::Frame { header, .. } | Parsed::TooLarge { header }) => {
                    ProtocolError::Unexpected(header.kind)
                }
                Err(error) => error,
            };
            return format!("broke the protocol: {error}");
        }
    }
}
