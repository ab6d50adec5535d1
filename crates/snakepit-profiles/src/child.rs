//! One worker process with everything that it starts: it ends completely, and nobody waits in vain.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use snakepit_core::{WorkerExit, WorkerId};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::output::{self, Tail};

/// Time for the last output to arrive once the process is gone. Only something that left its
/// process group can hold the pipes open longer.
const LAST_OUTPUT: Duration = Duration::from_millis(50);

/// A process group. Dropping it kills the group at once.
#[derive(Debug)]
pub(crate) struct Process {
    group: Arc<Group>,
    exit: watch::Receiver<Option<WorkerExit>>,
    tail: Tail,
}

#[derive(Debug)]
struct Group {
    /// Id of the leader and of the group; none when the leader has been reaped, because the
    /// number may belong to somebody else then.
    id: Mutex<Option<Pid>>,
    pid: u32,
    /// Why we ended it, if we did: the first reason counts.
    cause: Mutex<Option<Cause>>,
}

#[derive(Clone, Debug)]
enum Cause {
    /// On purpose.
    Stopped,
    /// Because it misbehaved.
    Fault(String),
}

impl Process {
    /// Starts a command as the leader of its own group. `tasks` runs what watches it.
    pub(crate) fn spawn(
        command: &mut Command,
        worker: &WorkerId,
        tasks: &TaskTracker,
    ) -> std::io::Result<Self> {
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = child
            .id()
            .expect("a child that was not waited for has an id");
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (tail, drains) = output::drain(worker, stdout, stderr, tasks);
        let id = Pid::from_raw(i32::try_from(pid).expect("process ids fit"));
        let group = Arc::new(Group {
            id: Mutex::new(Some(id)),
            pid,
            cause: Mutex::new(None),
        });
        let (sender, exit) = watch::channel(None);
        tasks.spawn(watch_child(
            child,
            Arc::clone(&group),
            drains,
            tail.clone(),
            sender,
        ));
        Ok(Self { group, exit, tail })
    }

    /// Process id of the leader.
    pub(crate) fn pid(&self) -> u32 {
        self.group.pid
    }

    /// The last output so far.
    pub(crate) fn output(&self) -> Vec<String> {
        self.tail.lines()
    }

    /// Resolves when the leader is gone and the rest of the group has been killed.
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

    /// From now on its end is on purpose.
    pub(crate) fn expect_exit(&self) {
        self.group.note(Cause::Stopped);
    }

    /// Its end has been asked for.
    pub(crate) fn is_stopping(&self) -> bool {
        let cause = self
            .group
            .cause
            .lock()
            .expect("nothing panics while it is locked");
        matches!(*cause, Some(Cause::Stopped))
    }

    /// Kills the group at once.
    pub(crate) fn kill(&self) {
        self.group.kill();
    }

    /// Kills the group at once because it misbehaved.
    pub(crate) fn kill_for(&self, fault: &str) {
        self.group.note(Cause::Fault(fault.to_owned()));
        self.group.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.group.note(Cause::Stopped);
        self.group.kill();
    }
}

impl Group {
    fn note(&self, cause: Cause) {
        let mut current = self
            .cause
            .lock()
            .expect("nothing panics while it is locked");
        current.get_or_insert(cause);
    }

    fn kill(&self) {
        let id = self.id.lock().expect("nothing panics while it is locked");
        if let Some(id) = *id {
            // It fails only when the group is gone already.
            let _ = killpg(id, Signal::SIGKILL);
        }
    }
}

/// Waits for the leader, kills what it left behind, and tells everybody.
async fn watch_child(
    mut child: Child,
    group: Arc<Group>,
    mut drains: tokio::task::JoinSet<()>,
    tail: Tail,
    sender: watch::Sender<Option<WorkerExit>>,
) {
    let status = child.wait().await;
    {
        let mut id = group.id.lock().expect("nothing panics while it is locked");
        if let Some(id) = id.take() {
            let _ = killpg(id, Signal::SIGKILL);
        }
    }
    let drained = async { while drains.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_OUTPUT, drained).await;
    let cause = group
        .cause
        .lock()
        .expect("nothing panics while it is locked")
        .clone();
    let status = match &status {
        Ok(status) => describe(*status),
        Err(error) => format!("its exit status is unknown: {error}"),
    };
    let mut exit = WorkerExit::default();
    exit.expected = matches!(cause, Some(Cause::Stopped));
    exit.reason = match cause {
        Some(Cause::Fault(fault)) => format!("{fault}, and was killed"),
        _ => status,
    };
    exit.output = tail.lines();
    sender.send_replace(Some(exit));
}

/// One phrase for an exit status.
pub(crate) fn describe(status: ExitStatus) -> String {
    if let Some(signal) = status.signal() {
        return match Signal::try_from(signal) {
            Ok(name) => format!("killed by signal {signal} ({name})"),
            Err(_) => format!("killed by signal {signal}"),
        };
    }
    match status.code() {
        Some(code) => format!("exited with status {code}"),
        None => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_well() {
        assert_eq!(describe(ExitStatus::from_raw(0)), "exited with status 0");
        assert_eq!(
            describe(ExitStatus::from_raw(1 << 8)),
            "exited with status 1"
        );
        assert_eq!(
            describe(ExitStatus::from_raw(11)),
            "killed by signal 11 (SIGSEGV)"
        );
        assert_eq!(
            describe(ExitStatus::from_raw(9)),
            "killed by signal 9 (SIGKILL)"
        );
    }
}
