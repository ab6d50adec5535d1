//! The host's identity in a worker's environment. It suffices to recognise a dead host after the
//! directory of the run was removed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::identity::{ProcessIdentity, Scene};
use crate::procfs;
use crate::pulse::{self, Pulse};
use crate::run_id::RunId;
use crate::table::Tagged;

/// The environment variable that names the host of a worker and the data directory of its run.
pub const ORIGIN_VAR: &str = "SNAKEPIT_WORKER_ORIGIN";

/// The host of a worker and the host's data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pid: i32,
    start_ticks: u64,
    scene: Scene,
    data_dir: PathBuf,
}

impl Origin {
    pub(crate) fn new(host: &ProcessIdentity, scene: &Scene, data_dir: &Path) -> Self {
        Self {
            pid: host.pid,
            start_ticks: host.start_ticks,
            scene: scene.clone(),
            data_dir: data_dir.to_owned(),
        }
    }

    /// Reads the origin that a process carries. `None` if it carries none or its environment cannot
    /// be read.
    pub(crate) fn of_process(pid: i32) -> Option<Self> {
        Self::parse(&procfs::variable(pid, ORIGIN_VAR)?)
    }

    /// Returns `true` if the run belongs to this data directory and its host is certainly dead.
    pub(crate) fn is_dead(&self, here: &Scene, data_dir: &Path) -> bool {
        self.data_dir == data_dir
            && self.scene.comparable(here)
            && pulse::of_process(self.pid, None, self.start_ticks) == Pulse::Gone
    }

    /// Returns `true` if the host certainly lives.
    pub(crate) fn is_alive(&self, here: &Scene) -> bool {
        self.scene.comparable(here)
            && pulse::of_process(self.pid, None, self.start_ticks) == Pulse::Alive
    }

    /// Encodes the origin as a value for the environment. The path comes last because it may
    /// contain any byte.
    pub(crate) fn value(&self) -> OsString {
        let Scene {
            boot_id,
            pid_ns,
            time_ns,
        } = &self.scene;
        let (pid, start) = (self.pid, self.start_ticks);
        let mut text = OsString::from(format!("{pid} {start} {pid_ns} {time_ns} {boot_id} "));
        text.push(&self.data_dir);
        text
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let mut fields = value.splitn(6, |&byte| byte == b' ');
        let mut next = || std::str::from_utf8(fields.next()?).ok();
        let (pid, start_ticks) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let (pid_ns, time_ns) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let boot_id = next()?.to_owned();
        let path = OsStr::from_bytes(fields.next()?);
        Some(Self {
            pid,
            start_ticks,
            scene: Scene {
                boot_id,
                pid_ns,
                time_ns,
            },
            data_dir: path.into(),
        })
    }
}

/// Returns `true` if a process of the run carries the identity of a host that lives.
pub(crate) fn named_by_workers(run: RunId, here: &Scene, tagged: &[Tagged]) -> bool {
    let mut origins = pulse::started_by(run, tagged).filter_map(Origin::of_process);
    origins.any(|origin| origin.is_alive(here))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn an_origin_is_read_as_it_was_written() {
        let scene = Scene::here().expect("/proc");
        let origin = |path: &[u8]| Origin {
            pid: 42,
            start_ticks: 4711,
            scene: scene.clone(),
            data_dir: OsString::from_vec(path.to_vec()).into(),
        };
        for path in [&b"/var/lib/a b"[..], b"/x\xff", b"/"] {
            let origin = origin(path);
            assert_eq!(Origin::parse(origin.value().as_bytes()), Some(origin));
        }
        for text in ["", "1", "1 2 3 4", "x 2 3 4 boot /d", "1 2 3 4 boot"] {
            assert_eq!(Origin::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn only_a_host_of_here_whose_process_is_gone_is_dead() {
        let here = Scene::here().expect("/proc");
        let me = std::process::id().cast_signed();
        let start_ticks = procfs::stat(me).expect("/proc").expect("it").start_ticks;
        let dir = Path::new("/d");
        let origin = |start_ticks, scene: &Scene| Origin {
            pid: me,
            start_ticks,
            scene: scene.clone(),
            data_dir: dir.to_owned(),
        };
        assert!(!origin(start_ticks, &here).is_dead(&here, dir));
        assert!(origin(start_ticks - 1, &here).is_dead(&here, dir));
        assert!(!origin(start_ticks - 1, &here).is_dead(&here, Path::new("/e")));
        let elsewhere = Scene {
            pid_ns: 1,
            ..here.clone()
        };
        assert!(!origin(start_ticks - 1, &elsewhere).is_dead(&here, dir));
    }
}
