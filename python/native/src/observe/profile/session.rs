//! One profile from its start to its data.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use prost::Message as _;
use snakepit_grpc::pb::Profile;
use snakepit_grpc::profile_limits::{MAX_DURATION, MAX_HZ};

use super::own::Walker;
use super::parts;
use super::sampler::{Counted, Sampler};
use crate::observe::names::Names;
use crate::process::clock;
use crate::serve::slots::{Progress, Slots};

/// Largest number of different stacks of a profile.
const MAX_STACKS: usize = 1 << 17;

/// Interval at which the names of threads are requested.
const NAMES: Duration = Duration::from_secs(1);

/// Time to wait for the names at the end.
const LAST_NAMES: Duration = Duration::from_millis(15);

/// Interval at which the share of failed samples is judged.
const TRIAL: Duration = Duration::from_secs(10);

/// A running or finished profile.
#[derive(Debug)]
pub(crate) struct Session {
    /// Number of the profile: that of the request that started it.
    pub(crate) number: u64,
    sampler: Sampler,
    period: Duration,
    hz: u32,
    lines: bool,
    /// The call whose thread is sampled, and the number of samples since it was over.
    call: Option<(u64, u32)>,
    began: Instant,
    started: SystemTime,
    end: Instant,
    /// `grid` is the regular time of the next sample; `next` differs from it by up to a tenth of
    /// the period.
    grid: Instant,
    next: Instant,
    names: Instant,
    trial: Trial,
    random: u64,
    samples: u64,
    missed: u64,
    state: Phase,
}

#[derive(Debug)]
enum Phase {
    Sampling,
    /// The sampling has ended by itself, and the host has not been notified yet.
    Ended {
        after: Duration,
        failure: String,
    },
    Finished(Vec<u8>),
}

/// The numbers of stacks read and lost at the last judgement.
#[derive(Debug)]
struct Trial {
    at: Instant,
    read: u64,
    lost: u64,
}

impl Session {
    pub(crate) fn new(
        number: u64,
        question: &Profile,
        walker: Arc<Walker>,
        names: Arc<Names>,
    ) -> Self {
        let hz = question.hz.clamp(1, MAX_HZ);
        let most = usize::try_from(question.max_stacks).unwrap_or(MAX_STACKS);
        let counted = match question.threads {
            1 => Counted::Gil,
            2 => Counted::OnCpu,
            _ => Counted::All,
        };
        let duration = Duration::from_micros(question.duration_us).min(MAX_DURATION);
        let began = clock::now();
        Self {
            number,
            sampler: Sampler::new(walker, names, counted, most.clamp(1, MAX_STACKS)),
            period: Duration::from_secs(1) / hz,
            hz,
            lines: question.lines,
            call: (question.call != 0).then_some((question.call, 0)),
            began,
            started: SystemTime::now(),
            end: began + duration,
            grid: began,
            next: began,
            names: began,
            trial: Trial {
                at: began + TRIAL,
                read: 0,
                lost: 0,
            },
            random: number | 1,
            samples: 0,
            missed: 0,
            state: Phase::Sampling,
        }
    }

    /// Returns the time of the next sample or of the end. `None` if the sampling has ended.
    pub(crate) fn due(&self) -> Option<Instant> {
        matches!(self.state, Phase::Sampling).then(|| self.next.min(self.end))
    }

    /// Returns whether the sampling has ended by itself.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.state, Phase::Ended { .. })
    }

    /// Takes a sample if one is due.
    pub(crate) fn tick(&mut self, slots: &Slots) {
        let now = clock::now();
        if now >= self.end {
            self.stop(String::new());
            return;
        }
        if now < self.next {
            return;
        }
        match self.call {
            None => self.sampler.sample(None),
            Some((call, over)) => match slots.progress(call) {
                Progress::Runs(task) => self.sampler.sample(Some(task)),
                // The first time, the call may be about to begin.
                Progress::Over if over > 0 => {
                    self.stop(String::new());
                    return;
                }
                Progress::Over => self.call = Some((call, over + 1)),
                Progress::Unknown => {}
            },
        }
        self.samples += 1;
        self.judge(now);
        if now >= self.names {
            self.sampler.titles.learn(Duration::ZERO);
            self.names = now + NAMES;
        }
        self.plan();
    }

    /// Ends the sampling and returns the data.
    pub(crate) fn finish(&mut self) -> &[u8] {
        if matches!(self.state, Phase::Sampling) {
            self.stop(String::new());
        }
        if let Phase::Ended { after, failure } = &self.state {
            let (after, failure) = (*after, failure.clone());
            self.sampler.titles.learn(LAST_NAMES);
            let mut data = parts::data(&self.sampler, self.lines);
            data.samples = self.samples;
            data.missed = self.missed;
            let since = self.started.duration_since(SystemTime::UNIX_EPOCH);
            data.started_ns = since.map_or(0, |since| {
                u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
            });
            data.elapsed_us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
            data.hz = self.hz;
            data.failure = failure;
            self.state = Phase::Finished(data.encode_to_vec());
        }
        match &self.state {
            Phase::Finished(data) => data,
            Phase::Sampling | Phase::Ended { .. } => &[],
        }
    }

    fn stop(&mut self, failure: String) {
        let after = clock::now().saturating_duration_since(self.began);
        self.state = Phase::Ended { after, failure };
    }

    /// Stops the sampling if most stacks cannot be read: it would cost time for nothing.
    fn judge(&mut self, now: Instant) {
        if now < self.trial.at {
            return;
        }
        let (read, lost) = (self.sampler.read, self.sampler.lost);
        if lost - self.trial.lost > read - self.trial.read {
            self.stop("most stacks could not be read".to_owned());
        }
        self.trial = Trial {
            at: now + TRIAL,
            read,
            lost,
        };
    }

    /// Schedules the next sample. Missed samples are counted, not made up for.
    fn plan(&mut self) {
        self.grid += self.period;
        let now = clock::now();
        while self.grid + self.period <= now {
            self.grid += self.period;
            self.missed += 1;
        }
        // Random shift, so that code which acts at fixed intervals is not always sampled at the
        // same place.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let tenth = self.period / 10;
        let shift = u32::try_from(self.random % 2001).unwrap_or(0);
        self.next = (self.grid + tenth * shift / 1000)
            .checked_sub(tenth)
            .unwrap_or(self.grid);
    }
}
