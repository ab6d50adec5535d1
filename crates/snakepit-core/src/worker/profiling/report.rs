//! A finished profile as plain data.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A profile: stacks, with the number of samples of each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ProfileReport {
    /// Number of times that all threads of a worker were sampled, for all workers together.
    pub samples: u64,
    /// Samples that were not taken because their time had passed.
    pub missed: u64,
    /// Stacks that changed on every attempt to read them; mostly those of very short functions.
    pub lost: u64,
    /// Stacks that were sampled but exceeded the limit of distinct stacks.
    pub truncated: u64,
    /// Start of the first worker's sampling, in seconds since 1970.
    pub started: f64,
    /// Duration of the longest profile, in seconds.
    pub seconds: f64,
    /// Requested samples a second.
    pub hz: u32,
    /// Functions and lines.
    pub frames: Vec<ProfiledFrame>,
    /// Threads.
    pub threads: Vec<ProfiledThread>,
    /// Stacks; those of a worker are ordered by their number of samples, most first.
    pub stacks: Vec<ProfiledStack>,
    /// Workers whose profile is missing or ended early.
    pub unprofiled: Vec<UnprofiledWorker>,
}

/// A line of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfiledFrame {
    /// Function; its qualified name on CPython 3.11 and later.
    pub function: String,
    /// File of the code.
    pub file: String,
    /// Line, from 1; 0 if it is unknown or was not requested.
    pub line: u32,
    /// Line where the definition of the function begins, decorators included.
    pub first_line: u32,
}

/// A thread of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfiledThread {
    /// Worker.
    pub worker: String,
    /// Name; empty if it has none.
    pub name: String,
    /// Id in the operating system; 0 if unknown.
    pub id: u64,
}

/// A stack of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfiledStack {
    /// Place in [`ProfileReport::threads`].
    pub thread: u32,
    /// State of the thread.
    pub marks: Marks,
    /// Places in [`ProfileReport::frames`], the outermost first.
    pub frames: Vec<u32>,
    /// Number of samples.
    pub count: u64,
}

/// State of a thread when it was sampled. A thread without either mark was waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// The thread used a CPU, or waited for one.
    pub on_cpu: bool,
    /// The thread held the GIL; in an interpreter without a GIL, it was attached to the
    /// interpreter. A C function that does not release the GIL appears as the line that calls it,
    /// with this mark.
    pub gil: bool,
}

/// A worker that is missing from a profile, wholly or in part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnprofiledWorker {
    /// Worker.
    pub worker: String,
    /// The reason.
    pub reason: String,
}

impl ProfileReport {
    /// Adds the samples of another worker.
    pub fn add(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.missed = self.missed.saturating_add(other.missed);
        self.lost = self.lost.saturating_add(other.lost);
        self.truncated = self.truncated.saturating_add(other.truncated);
        if self.threads.is_empty() || (other.started > 0.0 && other.started < self.started) {
            self.started = other.started;
        }
        self.seconds = self.seconds.max(other.seconds);
        self.hz = self.hz.max(other.hz);
        let known = self.frames.iter().cloned().zip(0..);
        let mut known: HashMap<ProfiledFrame, u32> = known.collect();
        let places = other.frames.into_iter().map(|frame| {
            let next = place(self.frames.len());
            let number = *known.entry(frame.clone()).or_insert(next);
            if number == next {
                self.frames.push(frame);
            }
            number
        });
        let places: Vec<u32> = places.collect();
        let first_thread = place(self.threads.len());
        self.threads.extend(other.threads);
        let stacks = other.stacks.into_iter().map(|mut stack| {
            let frames = stack.frames.iter();
            let frames = frames.filter_map(|frame| places.get(usize::try_from(*frame).ok()?));
            stack.frames = frames.copied().collect();
            stack.thread = stack.thread.saturating_add(first_thread);
            stack
        });
        self.stacks.extend(stacks);
        self.unprofiled.extend(other.unprofiled);
    }

    /// Returns the frames of a stack, the outermost first.
    pub fn frames_of<'a>(
        &'a self,
        stack: &'a ProfiledStack,
    ) -> impl DoubleEndedIterator<Item = &'a ProfiledFrame> {
        let frames = stack.frames.iter();
        frames.filter_map(|frame| self.frames.get(usize::try_from(*frame).ok()?))
    }

    /// Returns the thread of a stack.
    pub fn thread_of(&self, stack: &ProfiledStack) -> Option<&ProfiledThread> {
        self.threads.get(usize::try_from(stack.thread).ok()?)
    }

    /// Number of samples of all stacks together.
    pub fn total(&self) -> u64 {
        let counts = self.stacks.iter().map(|stack| stack.count);
        counts.fold(0, u64::saturating_add)
    }

    /// Returns the share of the samples whose stacks satisfy `is_so`; 0 if there are no samples.
    pub fn share(&self, is_so: impl Fn(&ProfiledStack) -> bool) -> f64 {
        let counted = self.stacks.iter().filter(|stack| is_so(stack));
        let counted = counted.fold(0, |sum: u64, stack| sum.saturating_add(stack.count));
        match self.total() {
            0 => 0.0,
            total => counted as f64 / total as f64,
        }
    }
}

fn place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A profile of one thread with a stack of one function for each name.
    fn profile(worker: &str, functions: &[&str]) -> ProfileReport {
        let mut report = ProfileReport {
            samples: 10,
            started: 5.0,
            threads: vec![ProfiledThread {
                worker: worker.into(),
                ..ProfiledThread::default()
            }],
            ..ProfileReport::default()
        };
        for (number, function) in (0..).zip(functions) {
            report.frames.push(ProfiledFrame {
                function: (*function).into(),
                ..ProfiledFrame::default()
            });
            report.stacks.push(ProfiledStack {
                frames: vec![number],
                count: 1,
                ..ProfiledStack::default()
            });
        }
        report
    }

    #[test]
    fn profiles_of_two_workers_are_one() {
        let mut report = ProfileReport::default();
        report.add(profile("a", &["f", "g"]));
        report.add(profile("b", &["g", "h"]));
        assert_eq!((report.samples, report.frames.len()), (20, 3));
        assert_eq!((report.started, report.total()), (5.0, 4));
        let seen = report.stacks.iter().map(|stack| {
            let thread = report.thread_of(stack).unwrap();
            let frame = report.frames_of(stack).next().unwrap();
            (&*thread.worker, &*frame.function)
        });
        let seen: Vec<_> = seen.collect();
        assert_eq!(seen, [("a", "f"), ("a", "g"), ("b", "g"), ("b", "h")]);
        let of_b = |stack: &ProfiledStack| stack.thread == 1;
        assert_eq!(report.share(of_b), 0.5);
    }

    #[test]
    fn places_that_are_not_there_name_nothing() {
        let mut report = ProfileReport::default();
        let mut other = profile("a", &["f"]);
        other.stacks[0].frames = vec![7, 0, u32::MAX];
        other.stacks[0].thread = u32::MAX;
        report.add(other);
        assert_eq!(report.frames_of(&report.stacks[0]).count(), 1);
        assert_eq!(report.thread_of(&report.stacks[0]), None);
    }
}
