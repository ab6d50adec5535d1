//! One worker process and everything that it starts: its complete end is guaranteed, and all who
//! wait for it are notified.

mod ending;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::id::WorkerId;
use snakepit_core::worker::WorkerExit;
use snakepit_redact::Known;
use snakepit_registry::{CommandSpec, Error, Exit, Registration};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub(crate) use self::ending::describe;
use self::ending::{EndSenders, watch_child, watched};
use crate::failure::with_output;
use crate::oom::Counter;
use crate::output::{self, Log, Tail};
use crate::run::Run;

/// Time for the last output to arrive once the process is gone. Only a process that left the group
/// can hold the pipes open longer.
const LAST_OUTPUT: Duration = Duration::from_millis(50);

/// Time in which a killed process dies. Only a process in an uninterruptible wait, usually for a
/// disk, takes longer; it is not waited for.
const DEATH: Duration = Duration::from_secs(1);

/// One worker process with everything that it starts: a process group that is recorded, contained
/// and watched. [`ProfileContext::spawn`](crate::ProfileContext::spawn) starts one for a profile of
/// an application. Dropping it kills the group at once, unless it may outlive its host.
#[derive(Debug)]
pub struct Process {
    group: Arc<Group>,
    /// True once the leader has ended.
    ended: watch::Receiver<bool>,
    exit: watch::Receiver<Option<WorkerExit>>,
    /// True once nothing of the group is left.
    gone: watch::Receiver<bool>,
    tail: Tail,
    tasks: TaskTracker,
}

/// The reason why a process could not be started.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The process cannot be recorded or started.
    Registry(Error),
    /// The process cannot be watched.
    System(String),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Group {
    /// The group's place in the registry. `None` once the leader is reaped, since its process id
    /// may then belong to another process. Dropping it kills the group.
    registration: Mutex<Option<Arc<Registration>>>,
    worker: WorkerId,
    pid: u32,
    /// True if the group may outlive its host.
    independent: AtomicBool,
    /// The first reason for which this process ended it. `None` if it did not.
    cause: Mutex<Option<Cause>>,
    /// The pool's reason for an end that it plans.
    why: Mutex<Option<String>>,
    /// True once it was killed.
    killed: watch::Sender<bool>,
    /// The kernel's counter of out-of-memory kills, as read when the process was started or became
    /// ready.
    memory: Mutex<Option<Counter>>,
}

#[derive(Clone, Debug)]
enum Cause {
    /// Ended on purpose.
    Stopped,
    /// Killed for this fault.
    Fault(String),
}

impl Process {
    /// Reserves a record for a command, starts it as the leader of its own group, and records it.
    /// `tasks` runs the tasks that watch it, and `log` receives its output without the known
    /// values.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process if it was started.
    pub(crate) async fn spawn(
        run: &Run,
        spec: CommandSpec,
        worker: &WorkerId,
        (log, known): (&Log, &Arc<Known>),
        tasks: &TaskTracker,
    ) -> Result<Self, NotStarted> {
        let run = run.clone();
        let name = worker.as_str().to_owned();
        let starting = tasks.spawn_blocking(move || {
            let (registration, spawned) = run.start(&name, &spec)?;
            let memory = Counter::of(spawned.pid);
            Ok((registration, spawned, memory))
        });
        let (registration, spawned, memory) = starting
            .await
            .map_err(|_| NotStarted::System("the host is shutting down".to_owned()))?
            .map_err(NotStarted::Registry)?;
        let system = |error: std::io::Error| NotStarted::System(error.to_string());
        let pidfd = watched(spawned.pidfd).map_err(system)?;
        let pipe = |end: Option<OwnedFd>| {
            let end = end.expect("both outputs are piped");
            pipe::Receiver::from_owned_fd(end)
        };
        let stdout = pipe(spawned.stdout).map_err(system)?;
        let stderr = pipe(spawned.stderr).map_err(system)?;
        let (tail, drains) = output::drain(worker, stdout, stderr, log, known);
        let group = Arc::new(Group {
            registration: Mutex::new(Some(Arc::new(registration))),
            worker: worker.clone(),
            pid: spawned.pid,
            independent: AtomicBool::new(false),
            cause: Mutex::new(None),
            why: Mutex::new(None),
            killed: watch::Sender::new(false),
            memory: Mutex::new(memory),
        });
        let (sender, exit) = watch::channel(None);
        let (ended_sender, ended) = watch::channel(false);
        let (gone_sender, gone) = watch::channel(false);
        let senders = EndSenders {
            ended: ended_sender,
            exit: sender,
            gone: gone_sender,
        };
        tasks.spawn(watch_child(
            pidfd,
            Arc::clone(&group),
            drains,
            tail.clone(),
            senders,
            tasks.clone(),
        ));
        Ok(Self {
            group,
            ended,
            exit,
            gone,
            tail,
            tasks: tasks.clone(),
        })
    }

    /// Records in the background that the worker is ready.
    pub fn note_ready(&self) {
        self.record(Registration::ready);
        let group = Arc::clone(&self.group);
        // From now on the process stays in its control group.
        self.tasks.spawn_blocking(move || {
            if let Some(counter) = Counter::of(group.pid) {
                *lock(&group.memory) = Some(counter);
            }
        });
    }

    /// Records in the background that the worker is being stopped.
    pub(crate) fn note_stopping(&self) {
        self.record(Registration::stopping);
    }

    fn record(&self, state: fn(&Registration) -> Result<(), Error>) {
        let registration = lock(&self.group.registration).clone();
        if let Some(registration) = registration {
            self.tasks.spawn_blocking(move || {
                // The protection of the process does not depend on the state.
                if let Err(error) = state(&registration) {
                    tracing::warn!(%error, "the state of a worker cannot be recorded");
                }
            });
        }
    }

    /// Returns the tracker of the tasks that watch it.
    #[cfg(feature = "command")]
    pub(crate) fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Returns the process id of the leader.
    pub fn pid(&self) -> u32 {
        self.group.pid
    }

    /// Creates the error of a start that failed, with the last output of the process and its exit.
    pub fn start_error(&self, message: impl Into<String>) -> StartError {
        with_output(self, ErrorCode::StartFailed, message.into())
    }

    /// Returns the last lines of output so far.
    pub fn output(&self) -> Vec<String> {
        self.tail.lines()
    }

    /// Resolves as soon as the leader has ended, or was killed but has not ended.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.clone();
        // Without a sender the runtime is shutting down together with its workers.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Resolves once the leader is gone and the rest of the group has been killed, or once the
    /// leader was killed but has not ended. Python's resource trackers have had their time to clean
    /// up by then.
    pub async fn gone(&self) -> WorkerExit {
        let exit = self.exited().await;
        let mut gone = self.gone.clone();
        // Without a sender there is nothing left to wait for.
        let _ = gone.wait_for(|gone| *gone).await;
        exit
    }

    /// Resolves once the leader is gone, with its last output, or once it was killed but has not
    /// ended.
    pub async fn exited(&self) -> WorkerExit {
        let mut exit = self.exit.clone();
        let seen = exit
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|exit| exit.clone());
        seen.unwrap_or_else(|| {
            // The runtime dropped the watching task: it is shutting down.
            let mut exit = WorkerExit::default();
            exit.reason = "killed because the host is shutting down".to_owned();
            exit.expected = true;
            exit
        })
    }

    /// Returns the exit. `None` if the process has not ended.
    pub fn exit(&self) -> Option<WorkerExit> {
        self.exit.borrow().clone()
    }

    /// Allows the group to outlive this handle.
    pub(crate) fn let_live(&self) {
        self.group.independent.store(true, Ordering::Relaxed);
    }

    /// Gives up the handle: kills the group, unless it may outlive its host.
    pub(crate) fn abandon(&self) {
        self.group.note(Cause::Stopped);
        if !self.group.independent.load(Ordering::Relaxed) {
            self.group.kill();
        }
    }

    /// Returns whether the process was killed and still lives, as seen when [`Process::exited`]
    /// resolved.
    pub(crate) fn outlives(&self) -> bool {
        self.exit.borrow().is_some() && lock(&self.group.registration).is_some()
    }

    /// Sets the reason of a planned end. The first one counts.
    pub fn will_end(&self, why: &str) {
        lock(&self.group.why).get_or_insert_with(|| why.to_owned());
    }

    /// Marks every end from now on as planned.
    pub(crate) fn expect_exit(&self) {
        self.group.note(Cause::Stopped);
    }

    /// Returns whether its end has been requested.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(*lock(&self.group.cause), Some(Cause::Stopped))
    }

    /// Sends SIGTERM to the leader.
    pub fn terminate(&self) {
        if let Some(registration) = lock(&self.group.registration).as_ref()
            && let Err(error) = registration.terminate()
        {
            tracing::debug!(worker = %self.group.worker, %error, "SIGTERM could not be sent to a worker");
        }
    }

    /// Kills the group at once.
    pub fn kill(&self) {
        self.group.kill();
    }

    /// Ends the process on purpose: sends SIGTERM to the leader, waits up to `grace`, then kills
    /// the group. Resolves when nothing of the group is left. With a zero grace it is killed at
    /// once.
    pub async fn stop(&self, grace: Duration) -> WorkerExit {
        self.expect_exit();
        self.note_stopping();
        if !grace.is_zero() && self.exit().is_none() {
            // Only the leader, so that it can end its helpers in order.
            self.terminate();
            if tokio::time::timeout(grace, self.exited()).await.is_err() {
                let pid = self.pid();
                tracing::warn!(
                    worker = %self.group.worker,
                    pid,
                    ?grace,
                    "a worker did not end after SIGTERM, and is killed"
                );
            }
        }
        if self.exit().is_none() {
            self.kill();
        }
        self.gone().await
    }

    /// Returns the bytes of memory of all processes of the group together. `None` if unknown.
    pub async fn memory(&self) -> Option<u64> {
        let pid = self.pid();
        let look = tokio::task::spawn_blocking(move || crate::memory::of_tree(pid));
        look.await.ok().flatten()
    }

    /// Returns the CPU time that all its processes together have used so far. `None` if unknown.
    pub async fn cpu(&self) -> Option<Duration> {
        let pid = self.pid();
        let look = tokio::task::spawn_blocking(move || crate::cpu::of_tree(pid));
        look.await.ok().flatten()
    }

    /// Kills the group at once because of a fault.
    pub fn kill_for(&self, fault: &str) {
        if self.group.try_wait().is_some() {
            // It has ended by itself, which is the reported reason.
            return;
        }
        self.group.note(Cause::Fault(fault.to_owned()));
        self.group.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Group {
    fn note(&self, cause: Cause) {
        lock(&self.cause).get_or_insert(cause);
    }

    fn kill(&self) {
        if let Some(registration) = lock(&self.registration).as_ref() {
            registration.kill_now();
        }
        self.killed.send_replace(true);
    }

    /// Returns whether there is evidence of an out-of-memory kill: the process died of SIGKILL,
    /// this process did not send it, and the kernel has counted such a kill.
    fn ran_out_of_memory(&self, exit: Option<Exit>) -> bool {
        let killed = matches!(exit, Some(Exit::Signal(signal)) if signal == Signal::SIGKILL as i32);
        let counter = lock(&self.memory).clone();
        killed && !*self.killed.borrow() && counter.is_some_and(|counter| counter.explains())
    }

    /// Resolves once the process was killed and the time to die is over.
    async fn overdue(&self) {
        let mut killed = self.killed.subscribe();
        // The sender is in `self`, so waiting cannot fail.
        let _ = killed.wait_for(|killed| *killed).await;
        tokio::time::sleep(DEATH).await;
    }

    /// Returns the exit if the leader has ended, and kills the rest of the group.
    fn try_wait(&self) -> Option<Exit> {
        match lock(&self.registration).as_ref() {
            Some(registration) => registration.try_wait(),
            None => Some(Exit::Unknown),
        }
    }
}
