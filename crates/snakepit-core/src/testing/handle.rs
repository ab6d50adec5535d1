//! The profile of scripted workers, by which a test controls them.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, watch};

use super::ScriptedWorker;
use crate::code::ErrorCode;
use crate::error::StartError;
use crate::host_tools::HostState;
use crate::worker::{StartContext, ToolInfo, Worker, WorkerInfo, WorkerProfile};

/// The effect of a start.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Script {
    /// The worker is ready at once.
    #[default]
    Ready,
    /// The start fails.
    Fail {
        /// Trying again cannot help.
        permanent: bool,
    },
    /// The start never ends.
    Hang,
    /// The worker is ready and dies at once.
    Die,
    /// The worker is ready after this time.
    Slow(Duration),
}

/// Starts scripted workers. Cheap to clone; clones control the same workers.
///
/// Tools, by name: `gate` waits for [`allow`](Self::allow); `hang` never ends, except when it is
/// cancelled; `stuck` does not even end then; `nap` takes 10 ms; `die` kills its worker; `fail`
/// fails; `health` fails while its worker is set to be unwell; `count` streams chunks until it is
/// cancelled; `pause` streams one chunk and then nothing. Every other tool echoes its arguments.
#[derive(Clone, Debug)]
pub struct ScriptedProfile {
    pub(super) inner: Arc<Inner>,
    state: Option<HostState>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) slots: NonZeroU16,
    pub(super) ahead: AtomicBool,
    /// Permits for answers to recalls.
    pub(super) recalls: Semaphore,
    /// Permits for reports of ended calls.
    pub(super) answers: Semaphore,
    pub(super) gate: Semaphore,
    scripts: Mutex<VecDeque<Script>>,
    default: Mutex<Script>,
    health_checks: Mutex<Vec<String>>,
    tools: Mutex<Vec<ToolInfo>>,
    workers: Mutex<Vec<Weak<ScriptedWorker>>>,
    starts: watch::Sender<usize>,
    /// Starts in progress.
    starting: AtomicUsize,
    /// Largest number of workers that were alive or starting at the same time.
    most: AtomicUsize,
}

/// A start in progress, counted until this is dropped.
struct Starting<'a>(&'a Inner);

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.starting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ScriptedProfile {
    /// Creates a profile of workers with this number of slots.
    ///
    /// # Panics
    /// If `slots` is 0.
    pub fn new(slots: u16) -> Self {
        Self {
            inner: Arc::new(Inner {
                slots: NonZeroU16::new(slots).expect("a worker has a slot"),
                ahead: AtomicBool::new(false),
                recalls: Semaphore::new(1 << 20),
                answers: Semaphore::new(1 << 20),
                gate: Semaphore::new(0),
                scripts: Mutex::default(),
                default: Mutex::default(),
                health_checks: Mutex::default(),
                tools: Mutex::default(),
                workers: Mutex::default(),
                starts: watch::Sender::new(0),
                starting: AtomicUsize::new(0),
                most: AtomicUsize::new(0),
            }),
            state: None,
        }
    }

    /// Sets the host state of the workers, whose sessions their calls use.
    #[must_use]
    pub fn with_state(mut self, state: HostState) -> Self {
        self.state = Some(state);
        self
    }

    /// Lets `n` calls of `gate` through.
    pub fn allow(&self, n: usize) {
        self.inner.gate.add_permits(n);
    }

    /// Lets workers that start from now on take calls ahead of their turn.
    #[must_use]
    pub fn ahead(self) -> Self {
        self.inner.ahead.store(true, Ordering::SeqCst);
        self
    }

    /// Keeps workers from answering recalls, until [`answer_recalls`](Self::answer_recalls).
    pub fn hold_recalls(&self) {
        self.inner.recalls.forget_permits(usize::MAX);
    }

    /// Lets workers answer recalls.
    pub fn answer_recalls(&self) {
        self.inner.recalls.add_permits(1 << 20);
    }

    /// Delays reports of workers: they give calls back, but that is reported only after
    /// [`release_answers`](Self::release_answers).
    pub fn hold_answers(&self) {
        self.inner.answers.forget_permits(usize::MAX);
    }

    /// Releases the delayed reports.
    pub fn release_answers(&self) {
        self.inner.answers.add_permits(1 << 20);
    }

    /// Sets the effect of the next start without a script.
    #[must_use]
    pub fn then(self, script: Script) -> Self {
        lock(&self.inner.scripts).push_back(script);
        self
    }

    /// Sets the effect of starts once the scripts are used up.
    pub fn otherwise(&self, script: Script) {
        *lock(&self.inner.default) = script;
    }

    /// Sets the tools that are the health checks of workers that start from now on.
    pub fn set_health_checks(&self, tools: &[&str]) {
        *lock(&self.inner.health_checks) = tools.iter().map(|tool| (*tool).to_owned()).collect();
    }

    /// Sets the tools described by workers that start from now on; none at first.
    pub fn set_tools(&self, names: &[&str]) {
        let tool = |name: &&str| ToolInfo {
            name: (*name).to_owned(),
            ..ToolInfo::default()
        };
        *lock(&self.inner.tools) = names.iter().map(tool).collect();
    }

    /// Number of starts so far.
    pub fn starts(&self) -> usize {
        *self.inner.starts.borrow()
    }

    /// Waits until there have been `n` starts.
    pub async fn started(&self, n: usize) {
        // The sender lives in `self`, so waiting cannot fail.
        self.inner
            .starts
            .subscribe()
            .wait_for(|starts| *starts >= n)
            .await
            .ok();
    }

    /// Returns the largest number of workers that were alive or starting at the same time.
    pub fn most(&self) -> usize {
        self.inner.most.load(Ordering::SeqCst)
    }

    /// Returns the workers that are alive, oldest first.
    pub fn workers(&self) -> Vec<Arc<ScriptedWorker>> {
        lock(&self.inner.workers)
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|worker| worker.is_alive())
            .collect()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl WorkerProfile for ScriptedProfile {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn slots(&self) -> NonZeroU16 {
        self.inner.slots
    }

    fn state(&self) -> Option<HostState> {
        self.state.clone()
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        self.inner.starts.send_modify(|starts| *starts += 1);
        let starting = 1 + self.inner.starting.fetch_add(1, Ordering::SeqCst);
        let _starting = Starting(&self.inner);
        let most = starting + self.workers().len();
        self.inner.most.fetch_max(most, Ordering::SeqCst);
        let script = lock(&self.inner.scripts).pop_front();
        let script = script.unwrap_or_else(|| lock(&self.inner.default).clone());
        match script {
            Script::Hang => std::future::pending().await,
            Script::Fail { permanent } => {
                let mut error = StartError::new(ErrorCode::StartFailed, "the script says so");
                error.permanent = permanent;
                Err(error)
            }
            script => {
                if let Script::Slow(time) = script {
                    tokio::time::sleep(time).await;
                }
                let info = WorkerInfo {
                    runtime: "scripted".into(),
                    runtime_version: "1".into(),
                    health_checks: lock(&self.inner.health_checks).clone(),
                    tools: lock(&self.inner.tools).clone(),
                    ..WorkerInfo::default()
                };
                let worker = Arc::new(ScriptedWorker::new(context.worker, info, self.clone()));
                let mut workers = lock(&self.inner.workers);
                workers.retain(|worker| worker.strong_count() > 0);
                workers.push(Arc::downgrade(&worker));
                drop(workers);
                if matches!(script, Script::Die) {
                    worker.die("died as scripted", false);
                }
                Ok(worker)
            }
        }
    }
}
