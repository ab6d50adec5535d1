//! The host's end of a worker's control connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::error::Stacks;
use snakepit_core::id::{CallId, Slot};
use snakepit_core::worker::profiling::{Profile, Profiling};
use snakepit_core::worker::{Pulse, Stopped, TelemetryControl};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::cancel_reports::CancelReports;
use super::ending::{self, LinkEnd};
use super::outbox::Outbox;
use super::parser::{Parsed, Parser, ProtocolError};
use super::pings::Pings;
use super::profiles::{LinkProfile, Profiles};
use super::recalls::Recalls;
use super::stacks::StackRequests;
use crate::frame::{FLAG_ERROR, Header, Kind, MAX_SECRET, MAX_TELEMETRY};
use crate::{convert, pb};

/// Number of pings that a worker may leave unread, beyond those in the socket's buffer.
const UNREAD: usize = 16;

/// The host's end of a control connection. The worker exits when it is dropped.
#[derive(Debug)]
pub struct ControlClient {
    outbox: Arc<Outbox>,
    ended: watch::Receiver<Option<LinkEnd>>,
    cancels: Arc<CancelReports>,
    pings: Arc<Pings>,
    gil: watch::Receiver<Option<String>>,
    cleaning: watch::Receiver<Option<String>>,
    stacks: Arc<StackRequests>,
    profiles: Arc<Profiles>,
    recalls: Arc<Recalls>,
    /// The last telemetry settings that were sent.
    telemetry: Mutex<Option<TelemetryControl>>,
    _tasks: JoinSet<()>,
}

impl ControlClient {
    /// Takes over a connection after its preamble. Records of the worker's code are dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(stream: UnixStream) -> Self {
        Self::with_telemetry(stream, Arc::new(drop))
    }

    /// Works like [`new`](Self::new) and passes the undecoded heads of `TELEMETRY` frames to
    /// `take`, at most [`MAX_TELEMETRY`] bytes each. `take` runs on the task that reads the
    /// connection, so it must be short and must not block.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_telemetry(stream: UnixStream, take: Arc<dyn Fn(Bytes) + Send + Sync>) -> Self {
        Self::with_secrets(stream, take, Arc::new(|_| false))
    }

    /// Works like [`with_telemetry`](Self::with_telemetry) and passes the values that the worker
    /// names as secret to `hide`, which returns true if they are masked from now on. It runs on the
    /// same task.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_secrets(
        stream: UnixStream,
        take: Arc<dyn Fn(Bytes) + Send + Sync>,
        hide: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    ) -> Self {
        let (read, write) = stream.into_split();
        let outbox = Arc::new(Outbox::new(write));
        let (sender, ended) = watch::channel(None);
        let mut tasks = JoinSet::new();
        let cancels = Arc::new(CancelReports::default());
        let pings = Arc::new(Pings::default());
        let stacks = Arc::new(StackRequests::default());
        let profiles = Arc::new(Profiles::default());
        let recalls = Arc::new(Recalls::default());
        let (gil_sender, gil) = watch::channel(None);
        let (cleaning_sender, cleaning) = watch::channel(None);
        let reports = Reports {
            cancels: Arc::clone(&cancels),
            pings: Arc::clone(&pings),
            stacks: Arc::clone(&stacks),
            profiles: Arc::clone(&profiles),
            recalls: Arc::clone(&recalls),
            gil: gil_sender,
            cleaning: cleaning_sender,
            telemetry: take,
            hide,
            outbox: Arc::clone(&outbox),
        };
        tasks.spawn(async move {
            let end = read_all(read, &reports).await;
            sender.send_replace(Some(end.unwrap_or_else(|broken| broken)));
        });
        let flusher = Arc::clone(&outbox);
        tasks.spawn(async move { flusher.flush_forever().await });
        Self {
            outbox,
            ended,
            cancels,
            gil,
            cleaning,
            pings,
            stacks,
            profiles,
            recalls,
            telemetry: Mutex::default(),
            _tasks: tasks,
        }
    }

    /// Sends the telemetry settings to the worker unless they are the last ones sent. Only for a
    /// worker with the capability `telemetry`.
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
        // An error means that the worker is ending.
        if self.outbox.send(header, encode, &Bytes::new()).is_ok() {
            *last = Some(settings.clone());
        }
    }

    /// Requests that the tool of this call stops within `grace`, which decides the means that the
    /// worker chooses. Returns at once. Does nothing if the call is over.
    pub fn cancel(&self, call: CallId, grace: Duration) {
        // Zero would mean "no limit".
        let grace_us = u64::try_from(grace.as_micros()).unwrap_or(u64::MAX).max(1);
        let head = pb::Cancel { grace_us };
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(&head.encode_to_vec());
        // An error means that the worker is ending.
        let _ = self
            .outbox
            .send(Header::new(Kind::Cancel, call.0), encode, &Bytes::new());
    }

    /// Recalls a call that waits behind another one on the connection of this slot. Returns `true`
    /// if the worker has not begun it and never will. Returns `false` if it has, or if the
    /// connection has ended.
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

    /// Waits for the worker's report on what stopped a cancelled call. Each report is returned
    /// once.
    pub async fn stopped(&self, call: CallId) -> Stopped {
        self.cancels.take(call).await
    }

    /// Sends a ping and waits for the worker's sign of life. `None` if none arrives within `wait`.
    /// Pings may overlap: an answer to a later ping also answers the earlier ones.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ping(&self, wait: Duration) -> Option<Pulse> {
        // A worker that does not read is not sent further pings.
        let number = if self.outbox.unread().pieces > UNREAD {
            self.pings.sent()
        } else {
            let number = self.pings.next_number();
            let header = Header::new(Kind::Ping, number);
            // A ping that cannot be sent has no answer.
            self.outbox.send(header, |_| {}, &Bytes::new()).ok()?;
            number
        };
        timeout(wait, self.pings.answer(number)).await.ok()
    }

    /// Returns the module whose import re-enabled the GIL in an interpreter that started without
    /// it. `None` if that has not happened.
    pub fn gil_reenabled_by(&self) -> Option<String> {
        self.gil.borrow().clone()
    }

    /// Waits until an import re-enables the GIL and returns the module. `None` if the connection
    /// ends first.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn gil_enabled(&self) -> Option<String> {
        let mut gil = self.gil.clone();
        let module = gil.wait_for(Option::is_some).await.ok()?;
        module.clone()
    }

    /// Returns the adapter whose `cleanup` is running in the worker, or was running when the
    /// connection ended.
    pub fn cleaning(&self) -> Option<String> {
        self.cleaning.borrow().clone()
    }

    /// Ends the connection because the worker's process has ended, even if another process holds
    /// the other end. Everything that the worker sent before is still read.
    pub fn cut(&self) {
        self.outbox.cut();
    }

    /// Requests the stacks of all threads of the worker. `None` if no answer arrives within `wait`,
    /// or if the worker cannot read them.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stacks(&self, wait: Duration) -> Option<Stacks> {
        let question = self.stacks.question();
        let header = Header::new(Kind::Stacks, question.number);
        self.outbox.send(header, |_| {}, &Bytes::new()).ok()?;
        timeout(wait, question.answer()).await.ok()?
    }

    /// Starts a profile of the worker. Only for a worker with the capability `profile`.
    ///
    /// # Errors
    /// The reason the profile cannot be made.
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    pub async fn profile(&self, profile: &Profile) -> Result<Box<dyn Profiling>, String> {
        let (outbox, profiles) = (&self.outbox, &self.profiles);
        let begun = LinkProfile::start(outbox, profiles, &self.ended, profile).await?;
        Ok(Box::new(begun))
    }

    /// Waits for the end of the connection and returns the reason.
    pub async fn ended(&self) -> LinkEnd {
        let end = ending::ended(self.ended.clone()).await;
        end.unwrap_or_else(closed)
    }
}

/// The receivers of a worker's reports.
struct Reports {
    recalls: Arc<Recalls>,
    stacks: Arc<StackRequests>,
    profiles: Arc<Profiles>,
    cancels: Arc<CancelReports>,
    pings: Arc<Pings>,
    gil: watch::Sender<Option<String>>,
    cleaning: watch::Sender<Option<String>>,
    telemetry: Arc<dyn Fn(Bytes) + Send + Sync>,
    hide: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    outbox: Arc<Outbox>,
}

impl Reports {
    /// Passes a frame to its receiver.
    ///
    /// # Errors
    /// The worker broke the protocol.
    fn take(&self, header: &Header, head: Bytes) -> Result<(), LinkEnd> {
        let limit = match header.kind {
            Kind::Secret => MAX_SECRET,
            Kind::Telemetry => MAX_TELEMETRY,
            _ => usize::MAX,
        };
        if head.len() > limit {
            return Err(ProtocolError::Length(head.len() as u64).into());
        }
        let number = header.call;
        match header.kind {
            Kind::Pong => {
                if !self.pings.put(number, &pb::Pong::decode(head)?) {
                    return Err(ProtocolError::Unexpected(Kind::Pong).into());
                }
            }
            Kind::Stopped => self.cancels.put(CallId(number), pb::Stopped::decode(head)?),
            Kind::Recalled => self.recalls.put(number, pb::Recalled::decode(head)?.back),
            Kind::GilEnabled => {
                let message = pb::GilEnabled::decode(head)?;
                // Only the first report counts.
                self.gil.send_if_modified(|gil| {
                    let first = gil.is_none();
                    gil.get_or_insert_with(|| convert::short_name(&message.module));
                    first
                });
            }
            Kind::Cleaning => {
                let adapter = pb::Cleaning::decode(head)?.adapter;
                let adapter = Some(adapter).filter(|name| !name.is_empty());
                self.cleaning.send_replace(adapter);
            }
            Kind::StacksReply => self
                .stacks
                .put(number, head)
                .map_err(|error| LinkEnd::protocol(&error))?,
            Kind::ProfilePart => self
                .profiles
                .put(number, head)
                .map_err(|error| LinkEnd::protocol(&error))?,
            Kind::Secret => self.secret(number, head)?,
            Kind::Telemetry => (self.telemetry)(head),
            kind => return Err(ProtocolError::Unexpected(kind).into()),
        }
        Ok(())
    }

    /// Passes a secret value to `hide`, and reports the outcome to the worker.
    fn secret(&self, number: u64, head: Bytes) -> Result<(), prost::DecodeError> {
        let secret = pb::Secret::decode(head)?;
        let mut header = Header::new(Kind::SecretKnown, number);
        if !(self.hide)(&secret.value) {
            header.flags = FLAG_ERROR;
        }
        // A worker that does not read its answers gets no more of them.
        if self.outbox.unread().pieces <= UNREAD {
            // An error means that the worker is ending.
            let _ = self.outbox.send(header, |_| {}, &Bytes::new());
        }
        Ok(())
    }
}

fn closed() -> LinkEnd {
    LinkEnd::lost("closed its control connection")
}

/// Reads signs of life and reports until the connection ends. Returns the reason for the end.
///
/// # Errors
/// The worker broke the protocol.
async fn read_all(mut stream: OwnedReadHalf, reports: &Reports) -> Result<LinkEnd, LinkEnd> {
    let mut parser = Parser::new(0);
    loop {
        match stream.read_buf(parser.buffer()).await {
            Ok(0) => return Ok(closed()),
            Ok(_) => {}
            Err(error) => {
                let reason = format!("lost its control connection: {error}");
                return Ok(LinkEnd::lost(reason));
            }
        }
        loop {
            match parser.next_frame()? {
                Parsed::Incomplete => break,
                Parsed::Frame { header, head, .. } => reports.take(&header, head)?,
                Parsed::TooLarge { header } => {
                    return Err(ProtocolError::Unexpected(header.kind).into());
                }
            }
        }
    }
}
