//! Profiles of a worker: requests, answers, and the data, which is read in parts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use snakepit_core::worker::profiling::{Profile, ProfileReport, ProfiledThreads, Profiling};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::ending::LinkEnd;
use super::outbox::Outbox;
use super::profile_data;
use crate::frame::{Header, Kind};
use crate::pb::{self, ProfileOp};
use crate::profile_limits::{MAX_BYTES, MAX_DURATION};

/// Largest size of an answer in bytes.
const MAX_PART: usize = 64 << 10;

/// Time limit for reading a whole profile from a worker.
const READING: Duration = Duration::from_secs(60);

/// Time limit for one answer of a worker.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pending requests and the running profiles.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    last: AtomicU64,
    state: Mutex<RunningProfiles>,
}

#[derive(Debug, Default)]
struct RunningProfiles {
    waiting: HashMap<u64, oneshot::Sender<pb::ProfilePart>>,
    running: HashMap<u64, watch::Sender<bool>>,
}

impl Profiles {
    /// Delivers an answer, or the end of a sampling. Drops it if its request is gone.
    ///
    /// # Errors
    /// The answer is malformed or too large.
    pub(super) fn put(&self, number: u64, head: Bytes) -> Result<(), String> {
        if head.len() > MAX_PART {
            return Err(format!("a part of a profile of {} bytes", head.len()));
        }
        let part = pb::ProfilePart::decode(head).map_err(|error| error.to_string())?;
        let mut state = self.lock();
        if part.ended {
            if let Some(ended) = state.running.get(&number) {
                ended.send_replace(true);
            }
            return Ok(());
        }
        if let Some(waiting) = state.waiting.remove(&number) {
            // The requester may be gone at this moment.
            let _ = waiting.send(part);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, RunningProfiles> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pending answer; forgotten when it is dropped.
struct AwaitedPart<'a> {
    profiles: &'a Profiles,
    number: u64,
}

impl Drop for AwaitedPart<'_> {
    fn drop(&mut self) {
        self.profiles.lock().waiting.remove(&self.number);
    }
}

/// A profile of one worker. The worker discards it when this is dropped.
#[derive(Debug)]
pub(super) struct LinkProfile {
    outbox: Arc<Outbox>,
    profiles: Arc<Profiles>,
    number: u64,
    /// `true` once the sampling has ended by itself.
    ended: watch::Receiver<bool>,
    /// Time by which the sampling is over, even if the worker does not report it.
    over: Instant,
    /// The reason for the end of the connection, once it has ended.
    link: watch::Receiver<Option<LinkEnd>>,
}

impl LinkProfile {
    /// Starts a profile.
    ///
    /// # Errors
    /// The reason the profile cannot be made.
    pub(super) async fn start(
        outbox: &Arc<Outbox>,
        profiles: &Arc<Profiles>,
        link: &watch::Receiver<Option<LinkEnd>>,
        profile: &Profile,
    ) -> Result<Self, String> {
        let number = 1 + profiles.last.fetch_add(1, Ordering::Relaxed);
        let (sender, ended) = watch::channel(false);
        profiles.lock().running.insert(number, sender);
        // From here on, dropping the value discards the profile in the worker, even if the caller
        // is gone.
        let this = Self {
            outbox: Arc::clone(outbox),
            profiles: Arc::clone(profiles),
            number,
            ended,
            over: Instant::now() + profile.duration.min(MAX_DURATION) + PATIENCE,
            link: link.clone(),
        };
        let start = pb::Profile {
            op: ProfileOp::Start.into(),
            hz: profile.hz,
            duration_us: u64::try_from(profile.duration.as_micros()).unwrap_or(u64::MAX),
            threads: match profile.threads {
                ProfiledThreads::All => 0,
                ProfiledThreads::Gil => 1,
                ProfiledThreads::OnCpu => 2,
            },
            lines: profile.lines,
            max_stacks: profile.max_stacks,
            call: profile.call.map_or(0, |call| call.0),
            ..pb::Profile::default()
        };
        this.ask(number, &start).await?;
        Ok(this)
    }

    async fn ask(&self, number: u64, question: &pb::Profile) -> Result<pb::ProfilePart, String> {
        let (sender, answer) = oneshot::channel();
        self.profiles.lock().waiting.insert(number, sender);
        let _waits = AwaitedPart {
            profiles: &self.profiles,
            number,
        };
        self.send(number, question)?;
        let mut link = self.link.clone();
        let part = tokio::select! {
            biased;
            part = timeout(PATIENCE, answer) => part,
            _ = link.wait_for(Option::is_some) => return Err("it is gone".to_owned()),
        };
        match part {
            Ok(Ok(part)) if part.refused.is_empty() => Ok(part),
            Ok(Ok(part)) => Err(profile_data::limited(&part.refused)),
            _ => Err("it did not answer in time".to_owned()),
        }
    }

    fn send(&self, number: u64, question: &pb::Profile) -> Result<(), String> {
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(&question.encode_to_vec());
        let header = Header::new(Kind::Profile, number);
        let sent = self.outbox.send(header, encode, &Bytes::new());
        sent.map(drop).map_err(|_| "it is gone".to_owned())
    }

    fn question(&self, op: ProfileOp, from: u64) -> (u64, pb::Profile) {
        let question = pb::Profile {
            op: op.into(),
            profile: self.number,
            from,
            ..pb::Profile::default()
        };
        let number = 1 + self.profiles.last.fetch_add(1, Ordering::Relaxed);
        (number, question)
    }
}

#[async_trait]
impl Profiling for LinkProfile {
    async fn ended(&self) {
        let (mut ended, mut link) = (self.ended.clone(), self.link.clone());
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => {}
            _ = link.wait_for(Option::is_some) => {}
            () = sleep_until(self.over) => {}
        }
    }

    async fn stop(self: Box<Self>) -> Result<ProfileReport, String> {
        let read = timeout(READING, self.read()).await;
        read.map_err(|_| "it did not send its profile in time".to_owned())?
    }
}

impl LinkProfile {
    async fn read(&self) -> Result<ProfileReport, String> {
        let mut data = Vec::new();
        let mut op = ProfileOp::Stop;
        loop {
            let (number, question) = self.question(op, data.len() as u64);
            let part = self.ask(number, &question).await?;
            data.extend_from_slice(&part.data);
            let came = data.len() as u64;
            if part.size > (MAX_BYTES as u64) || came > part.size {
                return Err(format!("its profile has {} bytes", part.size.max(came)));
            }
            if came == part.size {
                break;
            }
            if part.data.is_empty() {
                return Err("its profile is cut short".to_owned());
            }
            op = ProfileOp::Read;
        }
        profile_data::read(&data)
    }
}

impl Drop for LinkProfile {
    fn drop(&mut self) {
        self.profiles.lock().running.remove(&self.number);
        let (number, question) = self.question(ProfileOp::Drop, 0);
        // An error means that the connection is gone, and the profile with it.
        let _ = self.send(number, &question);
    }
}
