//! `ControlClient`: the control connection of a worker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::profiling::{Profile, Profiling};
use snakepit_core::{CallId, Pulse, Slot, Stacks, Stopped, TelemetryControl};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::dumps::Dumps;
use super::outbox::Outbox;
use super::parser::{Parsed, Parser, ProtocolError};
use super::pings::Pings;
use super::profiles::{LinkProfile, Profiles};
use super::recalls::Recalls;
use super::stops::Stops;
use crate::convert;
use crate::frame::{Header, Kind, MAX_TELEMETRY};
use crate::pb;

/// Questions that a worker may leave unread, beyond what the system keeps for it.
const UNREAD: usize = 16;

/// The host's end of a control connection. The worker exits when it is dropped.
#[derive(Debug)]
pub struct ControlClient {
    outbox: Arc<Outbox>,
    ended: watch::Receiver<Option<Arc<str>>>,
    stops: Arc<Stops>,
    pings: Arc<Pings>,
    gil: watch::Receiver<Option<String>>,
    cleaning: watch::Receiver<Option<String>>,
    dumps: Arc<Dumps>,
    profiles: Arc<Profiles>,
    recalls: Arc<Recalls>,
    /// The last settings of telemetry that were sent.
    telemetry: Mutex<Option<TelemetryControl>>,
    _tasks: JoinSet<()>,
}

impl ControlClient {
    /// Takes a connection, after its preamble. Records of the worker's code are dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(stream: UnixStream) -> Self {
        Self::with_telemetry(stream, Arc::new(drop))
    }

    /// As [`new`](Self::new); `take` gets the heads of `TELEMETRY` frames as they come, unread and of at most
    /// [`MAX_TELEMETRY`] bytes. It runs on the task that reads the connection, and must neither block nor take long.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_telemetry(stream: UnixStream, take: Arc<dyn Fn(Bytes) + Send + Sync>) -> Self {
        let (read, write) = stream.into_split();
        let outbox = Arc::new(Outbox::new(write));
        let (sender, ended) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let stops = Arc::new(Stops::default());
        let pings = Arc::new(Pings::default());
        let dumps = Arc::new(Dumps::default());
        let profiles = Arc::new(Profiles::default());
        let recalls = Arc::new(Recalls::default());
        let (gil_sender, gil) = watch::channel(None);
        let (cleaning_sender, cleaning) = watch::channel(None);
        let reports = Reports {
            stops: Arc::clone(&stops),
            pings: Arc::clone(&pings),
            dumps: Arc::clone(&dumps),
            profiles: Arc::clone(&profiles),
            recalls: Arc::clone(&recalls),
            gil: gil_sender,
            cleaning: cleaning_sender,
            telemetry: take,
        };
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
            gil,
            cleaning,
            pings,
            dumps,
            profiles,
            recalls,
            telemetry: Mutex::default(),
            _tasks: tasks,
        }
    }

    /// Says what the worker is to report of its code, if that is not what it was told last. Only for a worker with the capability
    /// `telemetry`.
    pub fn set_telemetry(&self, settings: &TelemetryControl) {
        let mut last = self
            .telemetry
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(settings) {
            return;
        }
        let head = convert::telemetry_settings(settings);
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(&head.encode_to_vec());
        let header = Header::new(Kind::TelemetryControl, 0);
        // A worker without its connection is ending.
        if self.outbox.send(header, encode, &Bytes::new()).is_ok() {
            *last = Some(settings.clone());
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

    /// Takes a call back that waits in the connection of this slot behind another one. `true` when the worker has not begun it and never
    /// will; `false` when it has, or the connection has ended.
    pub async fn recall(&self, slot: Slot, call: CallId) -> bool {
        let answer = self.recalls.ask(call.0);
        let head = pb::Recall {
            slot: slot.0.into(),
        };
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(&head.encode_to_vec());
        let header = Header::new(Kind::Recall, call.0);
        if self.outbox.send(header, encode, &Bytes::new()).is_err() {
            return false;
        }
        tokio::select! {
            biased;
            back = answer => back.unwrap_or(false),
            _ = self.ended() => false,
        }
    }

    /// What ended a cancelled call, once the worker has told; once for each call.
    pub async fn stopped(&self, call: CallId) -> Stopped {
        self.stops.take(call).await
    }

    /// Asks for a sign of life; nothing when none comes within `wait`. Any number of questions may be under way; an answer to a later one
    /// answers the earlier ones.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ping(&self, wait: Duration) -> Option<Pulse> {
        // A worker that does not read is not sent more and more.
        let number = if self.outbox.unread().pieces > UNREAD {
            self.pings.asked()
        } else {
            let number = self.pings.ask();
            let header = Header::new(Kind::Ping, number);
            // What cannot be sent has no answer.
            self.outbox.send(header, |_| {}, &Bytes::new()).ok()?;
            number
        };
        timeout(wait, self.pings.answer(number)).await.ok()
    }

    /// The module whose import has switched the GIL on, in an interpreter that started without it;
    /// nothing as long as that has not happened.
    pub fn gil_reenabled_by(&self) -> Option<String> {
        self.gil.borrow().clone()
    }

    /// Resolves with the module when an import switches the GIL on; nothing when the connection
    /// has ended before.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn gil_enabled(&self) -> Option<String> {
        let mut gil = self.gil.clone();
        let told = gil.wait_for(Option::is_some).await.ok()?;
        told.clone()
    }

    /// The adapter whose `cleanup` runs in the worker, or ran when the connection ended.
    pub fn cleaning(&self) -> Option<String> {
        self.cleaning.borrow().clone()
    }

    /// The process of the worker has ended: ends the connection, whoever still holds its other end.
    /// What the worker had sent by then is still read.
    pub fn cut(&self) {
        self.outbox.cut();
    }

    /// Where each thread of the worker is, whatever it does; nothing when no answer came within `wait`, or the worker cannot tell.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stacks(&self, wait: Duration) -> Option<Stacks> {
        let question = self.dumps.question();
        let header = Header::new(Kind::Stacks, question.number);
        self.outbox.send(header, |_| {}, &Bytes::new()).ok()?;
        timeout(wait, question.answer()).await.ok()?
    }

    /// Starts a profile of the worker. Only for a worker with the capability `profile`.
    ///
    /// # Errors
    /// Why it cannot be made.
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    pub async fn profile(&self, profile: &Profile) -> Result<Box<dyn Profiling>, String> {
        let (outbox, profiles) = (&self.outbox, &self.profiles);
        let begun = LinkProfile::start(outbox, profiles, &self.ended, profile).await?;
        Ok(Box::new(begun))
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

/// Where reports of the worker go.
struct Reports {
    recalls: Arc<Recalls>,
    dumps: Arc<Dumps>,
    profiles: Arc<Profiles>,
    stops: Arc<Stops>,
    pings: Arc<Pings>,
    gil: watch::Sender<Option<String>>,
    cleaning: watch::Sender<Option<String>>,
    telemetry: Arc<dyn Fn(Bytes) + Send + Sync>,
}

/// Reads signs of life and reports until the connection ends; returns why it did.
async fn read_all(mut stream: OwnedReadHalf, reports: &Reports) -> String {
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
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::Pong => {
                    match pb::Pong::decode(head) {
                        Ok(pong) if reports.pings.put(header.call, &pong) => continue,
                        Ok(_) => ProtocolError::Unexpected(header.kind),
                        Err(error) => return format!("broke the protocol: {error}"),
                    }
                }
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::Stopped => {
                    match pb::Stopped::decode(head) {
                        Ok(stopped) => {
                            reports.stops.put(CallId(header.call), stopped);
                            continue;
                        }
                        Err(error) => return format!("broke the protocol: {error}"),
                    }
                }
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::Recalled => {
                    match pb::Recalled::decode(head) {
                        Ok(told) => {
                            reports.recalls.put(header.call, told.back);
                            continue;
                        }
                        Err(error) => return format!("broke the protocol: {error}"),
                    }
                }
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::GilEnabled => {
                    match pb::GilEnabled::decode(head) {
                        Ok(told) => {
                            // Once: whatever a worker tells later is not news.
                            reports.gil.send_if_modified(|gil| {
                                let first = gil.is_none();
                                gil.get_or_insert_with(|| convert::short_name(&told.module));
                                first
                            });
                            continue;
                        }
                        Err(error) => return format!("broke the protocol: {error}"),
                    }
                }
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::Cleaning => {
                    match pb::Cleaning::decode(head) {
                        Ok(told) => {
                            let adapter = Some(told.adapter).filter(|name| !name.is_empty());
                            reports.cleaning.send_replace(adapter);
                            continue;
                        }
                        Err(error) => return format!("broke the protocol: {error}"),
                    }
                }
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::StacksReply => {
                    match reports.dumps.put(header.call, head) {
                        Ok(()) => continue,
                        Err(error) => return format!("broke the protocol: {error}"),
                    }
                }
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::ProfilePart => {
                    match reports.profiles.put(header.call, head) {
                        Ok(()) => continue,
                        Err(error) => return format!("broke the protocol: {error}"),
                    }
                }
                Ok(Parsed::Frame { header, head, .. }) if header.kind == Kind::Telemetry => {
                    if head.len() <= MAX_TELEMETRY {
                        (reports.telemetry)(head);
                        continue;
                    }
                    ProtocolError::Length(head.len() as u64)
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
