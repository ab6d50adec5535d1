//! Never lose a child process.
//!
//! A program that starts processes loses them when it is killed: nobody tells them, nobody finds
//! them. This crate starts children so that the kernel kills them together with their host, records
//! them before they exist, and finds and ends what a dead host has left.
//!
//! ```
//! # #[cfg(target_os = "linux")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use snakepit_registry::{CommandSpec, Output, Registry, RegistryConfig};
//!
//! let data_dir = tempfile::tempdir()?;
//! let registry = Registry::open(RegistryConfig::new(data_dir.path().join("pit")))?;
//! let report = registry.sweep()?; // ends what hosts have left that died
//! assert_eq!(report.killed(), 0);
//!
//! let mut children = Vec::new();
//! for name in ["one", "two", "three"] {
//!     let reservation = registry.reserve(name)?;
//!     let spec = CommandSpec::new("/bin/sleep").arg("60").output(Output::Null);
//!     let (registration, spawned) = registry.spawner().spawn(reservation, &spec)?;
//!     assert!(spawned.armed); // SIGKILL this host now, and the child is gone at once
//!     registration.ready()?;
//!     children.push(registration);
//! }
//! for child in children {
//!     let outcome = child.kill(Duration::from_secs(1)); // SIGTERM, then SIGKILL to the group
//!     assert!(outcome.leftover.is_empty());
//!     child.release()?;
//! }
//! assert!(registry.close()?.leftover.is_empty());
//! # Ok(())
//! # }
//! # #[cfg(not(target_os = "linux"))]
//! # fn main() {}
//! ```
//!
//! # Layers
//! 1. *Death pipe*: each child leads a process group and has the read end of a pipe as standard
//!    input. The host owns the only write end and has asked the kernel to send SIGKILL to the
//!    group when it closes. It closes when the host ends, however it ends. It works while the child
//!    is stopped or busy, and reaches descendants that stay in the group. A child must not close
//!    descriptor 0 or put another file there without keeping a copy.
//! 2. *Parent death signal*: all children are started by one thread that never ends, so a worker
//!    may call `prctl(PR_SET_PDEATHSIG)` for itself.
//! 3. *Sweep*: the next host kills what carries a mark of a run whose host is dead, also what
//!    has left its group. Each process is identified and signalled through the same pidfd.
//!
//! There are two marks. A [`Cookie`] is in the environment, with what is needed to tell that its
//! host is dead when the run's files are gone ([`ORIGIN_VAR`]). A [`Stamp`] is the soft limit for
//! file locks, which Linux does not enforce: a process keeps it without its environment, its group,
//! its session and its parents.
//!
//! # Containment
//! How far the layers reach for descendants that leave the group, by `setsid` and a double fork
//! for example, is chosen in [`RegistryConfig`] or [`CommandSpec`]. A mode that does not work here
//! is an error with the reason; nothing weaker is used instead. [`Support::modes`] tries all.
//!
//! | mode | what is gone with the worker | what is gone with its host | needs |
//! |---|---|---|---|
//! | `group` | its group | worker and every descendant still in its group, by the kernel | |
//! | `shim` | all descendants | all descendants, unless host *and* shim are killed in the same instant | `/proc` |
//! | `cgroup` | all descendants, as a whole | the same as `shim`; what is left is found also without the mark | a control group (version 2) that may be divided |
//! | `pid_namespace` | all descendants, by the kernel | all descendants, by the kernel: no other process has to survive | user namespaces or `CAP_SYS_ADMIN` |
//!
//! With the sweep, in each mode: all descendants that carry the mark by the time the next host has
//! swept. When the shim alone is killed, its worker dies with it, and the host kills what carries
//! the worker's mark.
//!
//! The shim is this program, started again: a function that runs before `main` turns it into one
//! when the host has prepared it. So the crate has to be part of the program itself, not of a
//! library that another program loads, and constructors of the program's libraries run once more.
//! A shim has one thread and a few hundred KiB of memory of its own; a namespace needs two shims. It ignores
//! signals, is the parent that the worker sees, and reports how the worker has ended through a
//! socket, so that somebody who reaps foreign children cannot take that away.
//! In a namespace the worker sees other process ids than its host; [`Registration::pid`] is the
//! host's view.
//!
//! # Orphans of others
//! Where this process is the first one of its system or container, or a child subreaper, what its
//! workers have started falls to it when they end. A thread takes the status of these processes,
//! and of no child that the program has started itself.
//!
//! # Limitations
//! Linux only; local file systems only. In mode `group`, descendants that leave the group die in
//! the next sweep, not with their host. A process that throws its environment away and
//! sets its limit for file locks carries no mark; one that only throws its environment away is not
//! found when the directory of its run is gone too, unless another process of the run leads there.
//! A process with the rights of the host can kill a shim or leave a control group. A child
//! that changes its user escapes a host without privileges. A process
//! in an uninterruptible wait dies when the kernel lets it. The database of the running host is
//! mapped into memory: somebody who truncates it crashes the host (the directory has mode 0700).

mod carriers;
mod cgroup;
mod child;
mod clock;
mod contained;
mod containment;
mod cookie;
mod data_dir;
mod ending;
mod error;
mod escalation;
mod foreign_run;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod helpers;
mod host_run;
mod identity;
mod image;
mod inherited;
mod inspect;
mod keeper;
mod killer;
mod launch;
mod lost;
mod origin;
mod pages;
mod pidfd;
mod plan;
mod probe;
mod procfs;
mod pulse;
mod record;
mod recordings;
mod registration;
mod registry;
mod run_dir;
mod run_files;
mod run_id;
mod shared_words;
mod shim;
mod spawner;
mod spec;
mod stamp;
mod store;
mod stored;
mod sweep;
mod sys;
mod table;
mod trusted;
mod writer;

pub use child::Exit;
pub use containment::{Containment, ContainmentError, Refusal};
pub use cookie::{COOKIES_VAR, Cookie, CookieError};
pub use data_dir::{SOCKET_NAME, is_usable};
pub use error::{DirProblem, Distrust, Error, Limit, SpawnProblem};
pub use escalation::{Escalation, Seen, Step};
pub use host_run::HostRun;
pub use identity::{Observation, ProcessIdentity, Scene, Verdict};
pub use inspect::{RunReport, RunState, WorkerReport, WouldKill};
pub use killer::KillOutcome;
pub use launch::HOST_PID_VAR;
pub use origin::ORIGIN_VAR;
pub use pidfd::{PidFd, Scope, TERMINATE_VALUE};
pub use plan::{Evidence, LeftAlone, Plan, Reach, Reason, Target, plan};
pub use probe::{ModeSupport, Support, Tier};
pub use procfs::Stat;
pub use record::{FORMAT, ProcessState, Record, RecordError};
pub use recordings::RECORDING;
pub use registration::{Registration, Reservation, Spawned};
pub use registry::{CloseReport, Registry, RegistryConfig, RegistryStats, Spawner};
pub use run_dir::RunMeta;
pub use run_id::{RunId, RunIdError};
pub use shared_words::SharedWords;
pub use spec::{CommandSpec, Output};
pub use stamp::Stamp;
pub use store::{Change, Store, StoreSize, StoreStats};
pub use stored::read_records;
pub use sweep::{Killed, Outcome, SweepReport, SweptRun};
pub use table::{Held, HostTable, ProcessTable, Tagged};
