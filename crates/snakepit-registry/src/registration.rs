//! The stages of a worker in the registry: reserved, spawned, ready, stopping, released.
//!
//! A [`Reservation`] is a row on disk that exists before the process does. Only a reservation can
//! become a [`Registration`], so every started process was announced first. Both clean up when they
//! are dropped.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::child::{Child, Exit};
use crate::cookie::Cookie;
use crate::error::Error;
use crate::identity::ProcessIdentity;
use crate::killer::{self, KillOutcome};
use crate::record::{ProcessState, Record};
use crate::registry::Inner;
use crate::spawner::{self, Abandoned, Started};
use crate::spec::CommandSpec;
use crate::store::Change;

/// A reserved row for a process that is about to be started. Dropping the reservation deletes the
/// row.
#[derive(Debug)]
#[must_use = "a dropped reservation is given back"]
pub struct Reservation {
    inner: Arc<Inner>,
    record: Record,
    used: bool,
}

/// A registered process. Dropping it kills the process and its group at once.
#[derive(Debug)]
#[must_use = "a dropped registration kills its process"]
pub struct Registration {
    inner: Arc<Inner>,
    record: Mutex<Record>,
    /// `None` once the child is handed over to the reaper.
    child: Option<Child>,
}

/// The descriptors and facts that the starter of a process needs.
#[derive(Debug)]
pub struct Spawned {
    /// Process id, also the id of its process group.
    pub pid: u32,
    /// Becomes readable when the process has exited: a pidfd, or the socket through which the shim
    /// reports. Use it only to wait; [`Registration::try_wait`] has the status.
    pub pidfd: OwnedFd,
    /// Read end of its standard output, if a pipe was requested.
    pub stdout: Option<OwnedFd>,
    /// Read end of its standard error, if a pipe was requested.
    pub stderr: Option<OwnedFd>,
    /// `true` if the kernel kills the group when this host dies. `false` for independent processes
    /// and on kernels without this feature, where the other layers remain.
    pub armed: bool,
}

impl Reservation {
    pub(crate) fn new(inner: Arc<Inner>, worker_id: &str, generation: u64) -> Result<Self, Error> {
        let run = inner.run.id();
        let cookie = Cookie::numbered(run, true, generation)
            .map_err(|e| Error::io("name a worker of", inner.run.database(), e))?;
        let record = Record {
            worker_id: worker_id.to_owned(),
            generation,
            state: ProcessState::Reserved,
            cookie,
            armed: false,
            identity: None,
            shim: None,
            cgroup: None,
        };
        inner.writer.write(Change::Put(Box::new(record.clone())))?;
        Ok(Self {
            inner,
            record,
            used: false,
        })
    }

    /// Returns the worker id that the caller chose.
    pub fn worker_id(&self) -> &str {
        &self.record.worker_id
    }

    /// Starts the process and records it. On failure the reservation is given back.
    pub(crate) fn spawn(mut self, spec: &CommandSpec) -> Result<(Registration, Spawned), Error> {
        let inner = Arc::clone(&self.inner);
        let mut record = self.record.clone();
        if !spec.dependent {
            record.cookie = Cookie::numbered(inner.run.id(), false, record.generation)
                .map_err(|e| Error::io("name a worker of", inner.run.database(), e))?;
        }
        let started = spawner::launch(&inner, spec, record.cookie, record.generation)?;
        let Started {
            child,
            identity,
            armed,
            stdout,
            stderr,
            shim,
            cgroup,
        } = started;
        record.state = ProcessState::Spawned;
        record.armed = armed;
        record.identity = Some(identity);
        (record.shim, record.cgroup) = (shim, cgroup);
        // From here on, dropping the registration kills the process on every failure.
        self.used = true;
        let key = record.key();
        let registration = Registration {
            inner: Arc::clone(&inner),
            record: Mutex::new(record.clone()),
            child: Some(child),
        };
        let pidfd = registration.child().watch();
        let committed = inner.writer.write(Change::Put(Box::new(record)));
        let pidfd = match (committed, pidfd) {
            (Ok(()), Ok(pidfd)) => pidfd,
            (Err(e), _) => {
                registration.abort();
                return Err(e);
            }
            (_, Err(e)) => {
                registration.abort();
                return Err(Error::io("hold the process of", key, e));
            }
        };
        let pid = registration.pid();
        Ok((
            registration,
            Spawned {
                pid,
                pidfd,
                stdout,
                stderr,
                armed,
            },
        ))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.used {
            self.inner
                .writer
                .write_later(Change::Delete(self.record.key()));
        }
    }
}

impl Registration {
    fn child(&self) -> &Child {
        self.child
            .as_ref()
            .expect("the child is taken only by the destructor and by release")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the worker id that the caller chose.
    pub fn worker_id(&self) -> String {
        self.record().worker_id.clone()
    }

    /// Returns the process id, which is also the id of the process group.
    pub fn pid(&self) -> u32 {
        self.child().pid().unsigned_abs()
    }

    /// Returns the stage that the worker has reached.
    pub fn state(&self) -> ProcessState {
        self.record().state
    }

    /// Returns the identity of the process.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.record().identity.clone()
    }

    /// Records that the worker serves calls. Blocks for one commit.
    ///
    /// # Errors
    /// The row cannot be written. The process stays as well protected as before.
    pub fn ready(&self) -> Result<(), Error> {
        self.advance(ProcessState::Ready)
    }

    /// Records that the worker is being stopped. Blocks for one commit.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub fn stopping(&self) -> Result<(), Error> {
        self.advance(ProcessState::Stopping)
    }

    fn advance(&self, state: ProcessState) -> Result<(), Error> {
        let mut record = self.record();
        if record.state == state {
            return Ok(());
        }
        let next = Record {
            state,
            ..record.clone()
        };
        self.inner
            .writer
            .write(Change::Put(Box::new(next.clone())))?;
        *record = next;
        Ok(())
    }

    /// Returns the process id of the shim above the process. `None` if there is no shim.
    pub fn shim_pid(&self) -> Option<u32> {
        Some(self.record().shim.as_ref()?.pid.unsigned_abs())
    }

    /// Returns the exit of the process. `None` if it has not ended. Also kills the rest of its
    /// group, except for Python's resource trackers, which get a grace period: see
    /// [`settle`](Self::settle). Does not wait for the process; call it when the pidfd is readable.
    pub fn try_wait(&self) -> Option<Exit> {
        self.child().try_wait()
    }

    /// Waits up to two seconds for Python's resource trackers that the process left behind, then
    /// kills the rest of the group. Returns at once if there are no trackers.
    pub fn settle(&self) {
        self.child().settle();
    }

    /// Returns `true` if [`settle`](Self::settle) has nothing to wait for.
    pub fn is_settled(&self) -> bool {
        self.child().is_settled()
    }

    /// Waits for the end of the process. `None` if `timeout` passes first.
    pub fn wait(&self, timeout: Duration) -> Option<Exit> {
        self.child().wait(timeout)
    }

    /// Sends SIGTERM to the process alone, with [`TERMINATE_VALUE`](crate::TERMINATE_VALUE).
    ///
    /// # Errors
    /// The process belongs to another user now.
    pub fn terminate(&self) -> io::Result<()> {
        self.child().terminate()
    }

    /// Sends SIGKILL to the process and its group without waiting. Python's resource trackers in
    /// the group are spared for a grace period and usually end by themselves.
    pub fn kill_now(&self) {
        self.child().kill();
    }

    /// Stops the process: sends SIGTERM to it, sends SIGKILL to its group after `grace` (at once if
    /// zero), then confirms that the whole group is dead. Blocks for `grace` plus the confirm time
    /// at most.
    pub fn kill(&self, grace: Duration) -> KillOutcome {
        // A row that cannot be written must not keep a process alive.
        let _ = self.stopping();
        killer::stop(self.child(), grace, self.inner.config.confirm)
    }

    /// Ends the registration: kills what is left of the process and its group, confirms the death
    /// and deletes the row.
    ///
    /// # Errors
    /// The row cannot be deleted. The next sweep then finds a row without a process.
    pub fn release(mut self) -> Result<KillOutcome, Error> {
        if !self.child().is_ours() {
            return Err(Error::Closed);
        }
        let outcome = killer::stop(self.child(), Duration::ZERO, self.inner.config.confirm);
        if !outcome.leftover.is_empty() {
            // The row stays until the process is dead: `drop` leaves the child to the reaper.
            return Ok(outcome);
        }
        let key = self.record().key();
        self.child = None;
        self.inner.writer.write(Change::Delete(key))?;
        Ok(outcome)
    }

    /// Kills a process that could not be recorded and waits for its end.
    fn abort(mut self) {
        killer::stop(self.child(), Duration::ZERO, self.inner.config.confirm);
        if self.child().try_wait().is_some() {
            let key = self.record().key();
            self.child = None;
            self.inner.writer.write_later(Change::Delete(key));
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else {
            return;
        };
        if !child.is_ours() {
            return;
        }
        let record = self.record();
        if record.cookie.dependent() {
            child.kill();
        }
        let abandoned = Abandoned {
            child,
            key: record.key(),
            inner: Arc::clone(&self.inner),
        };
        drop(record);
        spawner::reap_later(abandoned);
    }
}
