//! Memory that runs out, and a disk that never answers.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{Death, Error, args};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::host_death::next;
use crate::oracle::{Scene, eventually, eventually_async};
use crate::record::{Row, ms};
use crate::scenario::CGROUP;
use crate::subject::Host;
use crate::support::{LONG, alive, file};

/// A control group with little memory. Dropping it removes it once its processes have ended.
#[derive(Debug)]
struct Group(PathBuf);

impl Group {
    /// Creates the group in the first of the two layouts that works.
    fn new(mib: u32) -> Result<Self, String> {
        let bytes = (mib << 20).to_string();
        let places = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        let mut reasons = Vec::new();
        for (root, limit) in places {
            let group = Path::new(root).join(format!("snakepit-fault-{}", std::process::id()));
            if let Err(error) = fs::create_dir(&group) {
                reasons.push(format!("{}: {error}", group.display()));
                continue;
            }
            let group = Self(group);
            match fs::write(group.0.join(limit), &bytes) {
                Ok(()) => return Ok(group),
                Err(error) => reasons.push(format!("{root}/…/{limit}: {error}")),
            }
        }
        Err(format!("no control group: {}", reasons.join("; ")))
    }

    /// Returns the number of processes that the kernel has killed for lack of memory.
    fn kills(&self) -> u32 {
        let read = |name: &str| fs::read_to_string(self.0.join(name)).unwrap_or_default();
        let text = read("memory.oom_control") + &read("memory.events");
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("oom_kill "));
        count.map_or(0, |count| count.trim().parse().unwrap())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // If the group cannot be removed, it is empty and harmless.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn row_17_host_killed_by_the_kernel() {
    let row = Row::new(17, "host killed by the OOM killer of its control group");
    let group = match Group::new(160) {
        Ok(group) => group,
        Err(why) => return row.skip(&why),
    };
    let scene = Scene::new();
    let mut command = Host::command(&scene, "hog", 2);
    command.env(CGROUP, group.0.join("cgroup.procs"));
    let mut host = Host::spawn(command);
    let pids = host.workers();
    let status = host.wait();
    assert_eq!(status.signal(), Some(9), "{status}");
    assert!(group.kills() > 0, "the kernel did it");
    let took = scene.none_left(Duration::from_millis(500));
    next(&scene);
    row.holds(format!("last of {} gone after {}", pids.len(), ms(took)));
    scene.clean(LONG);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_61_out_of_memory_is_told_with_evidence() {
    let row = Row::new(61, "worker killed by the OOM killer of its control group");
    let group = match Group::new(200) {
        Ok(group) => group,
        Err(why) => return row.skip(&why),
    };
    let scene = Scene::new();
    let join = format!("{:?}", group.0.join("cgroup.procs"));
    let adapter = scene.adapter(&format!(
        "import os\nfrom snakepit_bridge import tool\n\
         open({join}, 'w').write(str(os.getpid()))\n\
         @tool\ndef grow(mib: int) -> int:\n    return len(bytearray(mib << 20))\n"
    ));
    let snakepit = scene
        .host(scene.pool_of(&adapter, 2))
        .start()
        .await
        .unwrap();
    let died = async |result: Result<i64, Error>| match result.unwrap_err() {
        Error::WorkerDied { cause, reason, .. } => {
            let whole = || snakepit.status()[0].ready == 2;
            eventually_async("the pool is whole", whole).await;
            (cause, reason)
        }
        other => panic!("{other:?}"),
    };
    let (cause, reason) = died(snakepit.execute("grow", args! { "mib" => 400 }).await).await;
    assert!(group.kills() > 0, "the kernel did it");
    assert_eq!(cause, Death::OutOfMemory);
    // A kill from elsewhere is no evidence, neither for earlier workers nor for later ones.
    for _ in 0..2 {
        let (other, mut calls) = (snakepit.clone(), JoinSet::new());
        let arguments = args! { "mib" => 1 };
        let victims = snakepit.workers();
        for victim in victims.iter().filter_map(|worker| worker.pid) {
            kill(Pid::from_raw(victim.cast_signed()), Signal::SIGSTOP).unwrap();
        }
        calls.spawn(async move { other.execute::<i64>("grow", arguments).await });
        eventually_async("the call runs", || snakepit.status()[0].in_flight == 1).await;
        for victim in victims.iter().filter_map(|worker| worker.pid) {
            kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
        }
        let (cause, _) = died(calls.join_next().await.unwrap().unwrap()).await;
        assert_eq!(cause, Death::Signal(9));
    }
    scene.close(snakepit).await;
    drop(group);
    row.holds(format!("`{reason}`; SIGKILL by others is told as such"));
}

/// A separate file system on a loop device. A child process holds it and thaws and unmounts it,
/// however this test ends.
#[derive(Debug)]
struct Disk(Child);

const DISK: &str = "set -e
truncate -s 16M \"$1/image\"
mkfs.ext4 -q \"$1/image\"
mkdir \"$1/disk\"
mount -o loop \"$1/image\" \"$1/disk\"
trap 'umount \"$1/disk\"' EXIT
fsfreeze -f \"$1/disk\"
trap 'fsfreeze -u \"$1/disk\"; while ! umount \"$1/disk\"; do sleep 0.01; done' EXIT
echo frozen
read line || true";

impl Disk {
    fn frozen(scene: &Scene) -> Result<Self, String> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", DISK, "disk"])
            .arg(scene.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("no shell: {error}"))?;
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        if line.trim() == "frozen" {
            return Ok(Self(child));
        }
        let output = child.wait_with_output().unwrap();
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(format!("no disk can be frozen: {reason}"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The child thaws the file system when it reads a line or the end of its input.
        let _ = self.0.stdin.take().map(|mut input| input.write_all(b"\n"));
        let _ = self.0.wait();
    }
}

fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_58_a_worker_that_cannot_be_killed() {
    let row = Row::new(58, "worker in an uninterruptible wait is stopped");
    let scene = Scene::new();
    let disk = match Disk::frozen(&scene) {
        Ok(disk) => disk,
        Err(why) => return row.skip(&why),
    };
    let grace = Duration::from_millis(300);
    let pool = scene.pool(2).configure(|pool| {
        pool.drain_timeout = grace;
        pool.stop_grace = grace;
    });
    let clock = Instant::now();
    let snakepit = scene.host(pool).start().await.unwrap();
    let start_time = clock.elapsed();
    let (other, mut calls) = (snakepit.clone(), JoinSet::new());
    let arguments = args! { "started" => scene.text("started"), "file" => scene.text("disk/file") };
    calls.spawn(async move { other.execute::<i64>("write_late", arguments).await });
    let pid: u32 = file(&scene.path("started")).await.parse().unwrap();
    eventually_async("it waits for the disk", || state(pid) == Some('D')).await;
    snakepit.execute::<i64>("pid", ()).await.unwrap();
    let clock = Instant::now();
    let report = timeout(LONG, snakepit.shutdown()).await.unwrap();
    let took = clock.elapsed();
    assert!(calls.join_next().await.unwrap().unwrap().is_err());
    assert_eq!(state(pid), Some('D'), "it cannot die");
    let known = i32::try_from(pid).unwrap();
    assert!(report.leftover.contains(&known), "{report:?}");
    // Grace for the call, grace for the worker, and a second for each of the two checks that
    // confirm its death.
    let limit = grace * 2 + Duration::from_secs(3) + start_time;
    assert!(took < limit, "{took:?}");
    drop(snakepit);
    tokio::task::spawn_blocking(move || {
        drop(disk);
        eventually("it dies when the disk answers", || !alive(pid));
        scene.clean(LONG);
    })
    .await
    .unwrap();
    row.holds(format!(
        "shut down after {}, the worker reported as left over",
        ms(took)
    ));
}
