//! One worker process with everything that it starts: it ends completely, and nobody waits in vain.

mod ending;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use snakepit_core::{WorkerExit, WorkerId};
use snakepit_registry::{CommandSpec, Error, Exit, Registration};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

pub(crate) use self::ending::describe;
use self::ending::{Told, watch_child, watched};
use crate::oom::Counter;
use crate::output::{self, Log, Tail};
use crate::run::Run;

/// Time for the last output to arrive once the process is gone. Only something that left its
/// process group can hold the pipes open longer.
const LAST_OUTPUT: Duration = Duration::from_millis(50);

/// Time in which a killed process is dead. Only one in an uninterruptible wait, for a disk as a rule,
/// takes longer; nobody waits for that one.
const DEATH: Duration = Duration::from_secs(1);

/// A process group. Dropping it kills the group at once, unless it may outlive its host.
#[derive(Debug)]
pub(crate) struct Process {
    group: Arc<Group>,
    /// The leader has ended.
    ended: watch::Receiver<bool>,
    exit: watch::Receiver<Option<WorkerExit>>,
    /// Nothing of the group is left.
    gone: watch::Receiver<bool>,
    tail: Tail,
    tasks: TaskTracker,
}

/// Why there is no process.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// It cannot be recorded or started.
    Registry(Error),
    /// It cannot be watched.
    System(String),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Group {
    /// Its place in the registry; none when it is gone, because its number may belong to somebody
    /// else then. Dropping it kills the group.
    registration: Mutex<Option<Arc<Registration>>>,
    pid: u32,
    /// It outlives its host.
    independent: AtomicBool,
    /// Why we ended it, if we did: the first reason counts.
    cause: Mutex<Option<Cause>>,
    /// What the pool says of the end that it plans.
    why: Mutex<Option<String>>,
    /// Whether it was killed.
    killed: watch::Sender<bool>,
    /// Where the kernel counts kills for lack of memory, as it was when the process was started or ready.
    memory: Mutex<Option<Counter>>,
}

#[derive(Clone, Debug)]
enum Cause {
    /// On purpose.
    Stopped,
    /// Because it misbehaved.
    Fault(String),
}

impl Process {
    /// Announces, starts and records a command as the leader of its own group. `tasks` runs what
    /// watches it, `log` takes what it prints.
    ///
    /// # Cancel safety
    /// What was started is killed when the future is dropped.
    pub(crate) async fn spawn(
        run: &Run,
        spec: CommandSpec,
        worker: &WorkerId,
        log: &Log,
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
        let (tail, drains) = output::drain(worker, stdout, stderr, log);
        let group = Arc::new(Group {
            registration: Mutex::new(Some(Arc::new(registration))),
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
        let told = Told {
            ended: ended_sender,
            exit: sender,
            gone: gone_sender,
        };
        tasks.spawn(watch_child(
            pidfd,
            Arc::clone(&group),
            drains,
            tail.clone(),
            told,
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

    /// Records that it serves. Does not wait for that.
    pub(crate) fn note_ready(&self) {
        self.record(Registration::ready);
        let group = Arc::clone(&self.group);
        // By now it is in the control group that it stays in.
        self.tasks.spawn_blocking(move || {
            if let Some(counter) = Counter::of(group.pid) {
                *lock(&group.memory) = Some(counter);
            }
        });
    }

    /// Records that it is being stopped. Does not wait for that.
    pub(crate) fn note_stopping(&self) {
        self.record(Registration::stopping);
    }

    fn record(&self, state: fn(&Registration) -> Result<(), Error>) {
        let registration = lock(&self.group.registration).clone();
        if let Some(registration) = registration {
            self.tasks.spawn_blocking(move || {
                // The process is as well protected as before.
                if let Err(error) = state(&registration) {
                    tracing::warn!(%error, "the state of a worker cannot be recorded");
                }
            });
        }
    }

    /// Process id of the leader.
    pub(crate) fn pid(&self) -> u32 {
        self.group.pid
    }

    /// The last output so far.
    pub(crate) fn output(&self) -> Vec<String> {
        self.tail.lines()
    }

    /// Resolves as soon as the leader has ended, or was killed and does not die.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.clone();
        // Without a sender the runtime is shutting down, and so are its workers.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Resolves when the leader is gone and the rest of the group has been killed, or when the
    /// leader was killed and does not die. Helpers of Python have had their moment by then.
    pub(crate) async fn gone(&self) -> WorkerExit {
        let exit = self.exited().await;
        let mut gone = self.gone.clone();
        // Without a sender nobody is left to be waited for.
        let _ = gone.wait_for(|gone| *gone).await;
        exit
    }

    /// Resolves when the leader is gone, with its last words, or when it was killed and does not
    /// die.
    pub(crate) async fn exited(&self) -> WorkerExit {
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

    /// How it ended, if it has.
    pub(crate) fn exit(&self) -> Option<WorkerExit> {
        self.exit.borrow().clone()
    }

    /// From now on it outlives its handle.
    pub(crate) fn let_live(&self) {
        self.group.independent.store(true, Ordering::Relaxed);
    }

    /// The handle is not needed any more: ends the group, unless it may outlive its host.
    pub(crate) fn abandon(&self) {
        self.group.note(Cause::Stopped);
        if !self.group.independent.load(Ordering::Relaxed) {
            self.group.kill();
        }
    }

    /// Whether it was killed and lives on, as far as was seen when [`Process::exited`] resolved.
    pub(crate) fn outlives(&self) -> bool {
        self.exit.borrow().is_some() && lock(&self.group.registration).is_some()
    }

    /// The reason of an end on purpose; the first one counts.
    pub(crate) fn will_end(&self, why: &str) {
        lock(&self.group.why).get_or_insert_with(|| why.to_owned());
    }

    /// From now on its end is on purpose.
    pub(crate) fn expect_exit(&self) {
        self.group.note(Cause::Stopped);
    }

    /// Its end has been asked for.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(*lock(&self.group.cause), Some(Cause::Stopped))
    }

    /// Sends SIGTERM to the leader.
    pub(crate) fn terminate(&self) {
        if let Some(registration) = lock(&self.group.registration).as_ref()
            && let Err(error) = registration.terminate()
        {
            tracing::debug!(%error, "a worker cannot be asked to end");
        }
    }

    /// Kills the group at once.
    pub(crate) fn kill(&self) {
        self.group.kill();
    }

    /// Kills the group at once because it misbehaved.
    pub(crate) fn kill_for(&self, fault: &str) {
        if self.group.try_wait().is_some() {
            // It has ended by itself, and that is told.
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

    /// There is evidence that it died for lack of memory: it was killed, not by this process, and the kernel has counted a kill for that.
    fn ran_out_of_memory(&self, exit: Option<Exit>) -> bool {
        let killed = matches!(exit, Some(Exit::Signal(signal)) if signal == Signal::SIGKILL as i32);
        let counter = lock(&self.memory).clone();
        killed && !*self.killed.borrow() && counter.is_some_and(|counter| counter.explains())
    }

    /// Resolves when it was killed and has had its time to die.
    async fn overdue(&self) {
        let mut killed = self.killed.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = killed.wait_for(|killed| *killed).await;
        tokio::time::sleep(DEATH).await;
    }

    /// The exit, if it has happened. Kills what is left of the group.
    fn try_wait(&self) -> Option<Exit> {
        match lock(&self.registration).as_ref() {
            Some(registration) => registration.try_wait(),
            None => Some(Exit::Unknown),
        }
    }
}
