//! Starts child processes and never loses them.
//!
//! A program that is killed cannot stop its child processes, and no one else knows about them. This
//! crate starts children so that the kernel kills them together with their host, records each child
//! before it exists, and finds and ends the processes that a dead host has left.
//!
//! ```
//! # #[cfg(target_os = "linux")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use snakepit_registry::{CommandSpec, Output, Registry, RegistryConfig};
//!
//! let data_dir = tempfile::tempdir()?;
//! let registry = Registry::open(RegistryConfig::new(data_dir.path().join("pit")))?;
//! let report = registry.sweep()?; // ends the processes that dead hosts have left
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
//!    input. The host owns the only write end and has requested that the kernel sends SIGKILL to
//!    the group when it closes. It closes when the host ends, however it ends. This works while the
//!    child is stopped or busy, and reaches descendants that stay in the group. A child must not
//!    close descriptor 0 or replace it without keeping a copy.
//! 2. *Parent death signal*: all children are started by one thread that never ends, so a worker
//!    may call `prctl(PR_SET_PDEATHSIG)` for itself.
//! 3. *Sweep*: the next host kills the processes that carry a mark of a run whose host is dead,
//!    including those that have left their group. Each process is identified and signalled through
//!    the same pidfd.
//!
//! There are two marks. A [`Cookie`] is in the environment, together with the identity of the host
//! ([`ORIGIN_VAR`]), which proves that the host is dead even if the run's files are gone. A
//! [`Stamp`] is the soft limit for file locks, which Linux does not enforce: a process keeps it
//! even if its environment, group, session and parents change.
//!
//! # Containment
//! [`RegistryConfig`] or [`CommandSpec`] chooses the reach for descendants that leave the group,
//! for example by `setsid` and a double fork. A mode that does not work here is an error with the
//! reason; no weaker mode is used instead. [`Support::modes`] tests all modes.
//!
//! | mode | dies with the worker | dies with its host | needs |
//! |---|---|---|---|
//! | `group` | its group | worker and every descendant still in its group, by the kernel | |
//! | `shim` | all descendants | all descendants, unless host *and* shim are killed in the same instant | `/proc` |
//! | `cgroup` | all descendants, as a whole | the same as `shim`; leftovers are found even without the mark | a control group (version 2) in which child groups may be created |
//! | `pid_namespace` | all descendants, by the kernel | all descendants, by the kernel: no other process has to survive | user namespaces or `CAP_SYS_ADMIN` |
//!
//! After the next host has swept, every descendant that carries the mark is gone too, in each mode.
//! If only the shim is killed, its worker dies with it, and the host kills the processes that carry
//! the worker's mark.
//!
//! The shim is this program, started again: a function that runs before `main` turns the process
//! into a shim if the host has prepared that. So the crate must be linked into the program itself,
//! not into a library that another program loads, and the constructors of the program's libraries
//! run once more. A shim has one thread and a few hundred KiB of memory of its own; a namespace
//! needs two shims. A shim ignores signals, is the parent that the worker sees, and reports the
//! worker's exit through a socket, so code that reaps foreign children cannot take the status away.
//! In a namespace the worker sees other process ids than its host; [`Registration::pid`] is the
//! host's view.
//!
//! # Orphans
//! If this process is the first one of its system or container, or a child subreaper, the
//! descendants of its workers are reparented to it when their parents end. A thread reaps these
//! processes, and no child that the program has started itself.
//!
//! # Limitations
//! - Linux only; local file systems only.
//! - In mode `group`, descendants that leave the group die in the next sweep, not with their host.
//! - A process that clears its environment and sets its limit for file locks carries no mark. A
//!   process that only clears its environment is not found if the directory of its run is gone too,
//!   unless another process of the run carries the cookie.
//! - A process with the rights of the host can kill a shim or leave a control group.
//! - A child that changes its user escapes a host without privileges.
//! - A process in an uninterruptible wait dies when the kernel lets it.
//! - The database of the running host is mapped into memory: truncating it crashes the host. Its
//!   directory has mode 0700.

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
pub use identity::{Observation, Ownership, ProcessIdentity, Scene};
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
