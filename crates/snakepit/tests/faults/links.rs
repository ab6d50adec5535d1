//! Foreign clients of the socket, and damage to the data directory of a live host.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use snakepit::{PoolBuilder, Snakepit};

use crate::oracle::Scene;
use crate::record::Row;
use crate::subject::KNOCK;
use crate::support::LONG;

/// Returns a variable from the environment with which a process started.
pub(crate) fn variable(pid: u32, name: &str) -> String {
    variable_of(pid, name).unwrap()
}

/// Like [`variable`]. `None` if the process is gone or has no such variable.
pub(crate) fn variable_of(pid: u32, name: &str) -> Option<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let text = String::from_utf8_lossy(&environ).into_owned();
    let entry = text
        .split('\0')
        .find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
    entry.map(str::to_owned)
}

/// Makes the pool's workers write their tokens to a file; later the tokens cannot be read.
pub(crate) fn report_tokens(scene: &Scene, pool: PoolBuilder) -> PoolBuilder {
    let file = format!("{:?}", scene.text("tokens"));
    let text = format!(
        "import os\nwith open({file}, 'a') as file:\n    print(os.environ['SNAKEPIT_WORKER_TOKEN'], file=file)\n"
    );
    fs::write(scene.path("sitecustomize.py"), text).unwrap();
    pool.env("PYTHONPATH", scene.dir().to_str().unwrap())
}

/// Returns the token of the first worker.
pub(crate) fn token(scene: &Scene) -> String {
    let tokens = fs::read_to_string(scene.path("tokens")).unwrap();
    tokens.lines().next().unwrap().to_owned()
}

async fn start(scene: &Scene) -> (Snakepit, u32, String) {
    let snakepit = scene.host(scene.pool(1)).start().await.unwrap();
    let pid = snakepit.workers()[0].pid.unwrap();
    let link = variable(pid, "SNAKEPIT_WORKER_LINK");
    (snakepit, pid, link)
}

async fn end(scene: Scene, snakepit: Snakepit, pid: u32) {
    let now: u32 = snakepit.execute("pid", ()).await.unwrap();
    assert_eq!(now, pid, "the worker serves on");
    scene.close(snakepit).await;
}

/// Sends data to the socket and reads until the host closes the connection. Checks that the host
/// sends nothing.
fn knock(link: &str, data: &[u8]) {
    let mut stream = UnixStream::connect(link).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // The host may close the connection before everything is sent.
    let _ = stream.write_all(data);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{answer:?}");
}

fn preamble(worker: &str, token: &[u8; 32]) -> Vec<u8> {
    let mut data = b"SNAKEPT1\x00\x00\x00\x00".to_vec();
    data.extend(u16::try_from(worker.len()).unwrap().to_le_bytes());
    data.extend(token);
    data.extend(worker.as_bytes());
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn row_79_wrong_tokens() {
    let row = Row::new(79, "client with a missing, wrong or used token");
    let scene = Scene::new();
    let pool = report_tokens(&scene, scene.pool(1));
    let snakepit = scene.host(pool).start().await.unwrap();
    let pid = snakepit.workers()[0].pid.unwrap();
    let link = variable(pid, "SNAKEPIT_WORKER_LINK");
    let worker = variable(pid, "SNAKEPIT_WORKER_ID");
    let used = token(&scene);
    assert_ne!(
        variable(pid, "SNAKEPIT_WORKER_TOKEN"),
        used,
        "it was overwritten"
    );
    let mut token = [0; 32];
    for (byte, pair) in token.iter_mut().zip(used.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    knock(&link, &preamble(&worker, &[0; 32]));
    knock(&link, &preamble("nobody", &[0; 32]));
    knock(&link, &preamble(&worker, &token));
    knock(&link, b"");
    end(scene, snakepit, pid).await;
    row.holds("hung up on without an answer, worker serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_87_malformed_handshakes() {
    let row = Row::new(87, "malformed handshakes");
    let scene = Scene::new();
    let (snakepit, pid, link) = start(&scene).await;
    knock(&link, b"GET / HTTP/1.1\r\n\r\n");
    knock(&link, &[0xff; 4096]);
    knock(&link, b"SNAKEPT1");
    for cut in 0..46 {
        knock(&link, &preamble("nobody", &[7; 32])[..cut]);
    }
    end(scene, snakepit, pid).await;
    row.holds("49 of them, worker serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_78_another_user_connects() {
    let row = Row::new(78, "another user connects to the socket");
    if !nix::unistd::geteuid().is_root() {
        row.skip("it needs root to become another user");
        return;
    }
    let scene = Scene::new();
    // The parent directory is accessible; the data directory itself must keep other users out.
    fs::set_permissions(scene.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let (snakepit, pid, link) = start(&scene).await;
    let Some(answer) = as_nobody(&link) else {
        scene.close(snakepit).await;
        row.skip("another user may not run this binary");
        return;
    };
    assert!(answer.contains("PermissionDenied"), "{answer}");
    // Even with all permissions open the host checks the user of each client.
    let mut path = Path::new(&link);
    while path != scene.dir() {
        let mode = if path.is_dir() { 0o755 } else { 0o777 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        path = path.parent().unwrap();
    }
    let answer = as_nobody(&link).unwrap();
    let hung_up = answer.contains("Ok([])") || answer.contains("ConnectionReset");
    assert!(hung_up || answer.contains("BrokenPipe"), "{answer}");
    end(scene, snakepit, pid).await;
    row.holds("permission denied at the path; with open doors hung up on without an answer");
}

/// Connects to the socket as another user and returns the outcome. `None` if that user cannot run
/// this program.
fn as_nobody(link: &str) -> Option<String> {
    let client = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "subject::subject", "--nocapture"])
        .env(KNOCK, link)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&client.stdout).into_owned();
    let (_, answer) = said.split_once("@knock ")?;
    Some(answer.lines().next()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_38_data_directory_deleted_under_a_live_host() {
    let row = Row::new(38, "data directory deleted under a live host");
    let scene = Scene::new();
    let (snakepit, pid, _) = start(&scene).await;
    fs::remove_dir_all(scene.data()).unwrap();
    for _ in 0..10 {
        snakepit.execute::<u32>("pid", ()).await.unwrap();
    }
    end(scene, snakepit, pid).await;
    row.holds("the worker serves on, shutdown leaves nothing");
}
