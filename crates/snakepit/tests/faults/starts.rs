//! Workers that cannot start, start badly or die early.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use futures_util::FutureExt as _;
use snakepit::{BuildError, ErrorCode, PoolBuilder, args};
use tokio::time::{Instant, timeout};

use crate::oracle::Scene;
use crate::record::{Row, ms};
use crate::support::LONG;

const NONE: Duration = Duration::from_millis(500);

/// Starts a host that must fail to start; returns its error and the time that took.
async fn refused(scene: &Scene, pool: PoolBuilder) -> (BuildError, Duration) {
    let clock = Instant::now();
    let start = scene.host(pool).start();
    let error = timeout(LONG, start).await.unwrap().unwrap_err();
    (error, clock.elapsed())
}

async fn clean(scene: Scene) {
    tokio::task::spawn_blocking(|| scene.clean(NONE))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_40_interpreters_that_cannot_run() {
    let row = Row::new(40, "interpreter missing, not executable, bad shebang");
    let scene = Scene::new();
    let script = |name: &str, text: &str, mode: u32| {
        fs::write(scene.path(name), text).unwrap();
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(mode)).unwrap();
        scene.path(name)
    };
    let programs = [
        scene.path("missing"),
        script("plain", "#!/bin/sh\n", 0o644),
        script(
            "shebang",
            &format!("#!{}\n", scene.path("missing").display()),
            0o755,
        ),
    ];
    let mut codes = Vec::new();
    for program in programs {
        let (error, _) = refused(&scene, scene.pool(2).python(program)).await;
        codes.push(error.code().to_string());
    }
    clean(scene).await;
    row.holds(codes.join(", "));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_43_workers_that_exit_before_they_are_ready() {
    let row = Row::new(43, "worker exits before it is ready");
    let scene = Scene::new();
    let adapter = scene.adapter("import os\nos._exit(7)\n");
    let (error, took) = refused(&scene, scene.pool_of(&adapter, 2)).await;
    assert!(error.to_string().contains('7'), "{error}");
    clean(scene).await;
    row.holds(format!("{} after {}", error.code(), ms(took)));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_43_workers_that_hang_at_start() {
    let row = Row::new(43, "worker hangs at start, GIL held, with a child");
    let scene = Scene::new();
    let adapter = scene.adapter(
        "import subprocess\nsubprocess.Popen(['/bin/sleep', '600'])\nsum(range(1 << 40))\n",
    );
    let limit = Duration::from_secs(1);
    let (error, took) = refused(&scene, scene.pool_of(&adapter, 2).start_timeout(limit)).await;
    clean(scene).await;
    row.holds(format!("{} after {}", error.code(), ms(took)));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_43_garbage_handshake() {
    let row = Row::new(43, "worker sends garbage instead of a handshake");
    let scene = Scene::new();
    let adapter = scene.adapter(
        "import os, socket\ns = socket.socket(socket.AF_UNIX)\n\
         link = next(v for v in open('/proc/self/environ').read().split(chr(0)) if v.startswith('SNAKEPIT_WORKER_LINK='))\n\
         s.connect(link.partition('=')[2])\ns.sendall(b'garbage' * 100)\nos._exit(9)\n",
    );
    let (error, took) = refused(&scene, scene.pool_of(&adapter, 1)).await;
    clean(scene).await;
    row.holds(format!("{} after {}", error.code(), ms(took)));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_44_workers_that_die_right_after_ready() {
    let row = Row::new(44, "worker dies as soon as it is ready, always");
    let scene = Scene::new();
    let adapter = scene.adapter(
        "import os, threading\nfrom snakepit_bridge import tool\n\
         @tool\ndef f() -> int:\n    return 1\n\
         threading.Timer(0.05, lambda: os._exit(4)).start()\n",
    );
    let pool = scene.pool_of(&adapter, 1).configure(|pool| {
        pool.restart.max_restarts = 3;
        pool.restart.initial_backoff = Duration::from_millis(5);
    });
    let builder = scene.host(pool).wait_ready(false);
    let snakepit = builder.start().await.unwrap();
    let gave_up = async {
        while snakepit.status()[0].start_error.is_none() {
            // polls: the pool gives up
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, gave_up).await.unwrap();
    let status = snakepit.status().remove(0);
    // Fails at once, without waiting for anything.
    let call = snakepit.execute::<i64>("f", ());
    let error = call.now_or_never().unwrap().unwrap_err();
    assert!(status.restarts + status.start_failures <= 5, "{status:?}");
    scene.close(snakepit).await;
    row.holds(format!(
        "{} restarts, then {}",
        status.restarts,
        error.code()
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_65_replacement_cannot_start() {
    let row = Row::new(65, "replacement of a dead worker cannot start");
    let scene = Scene::new();
    let good = "import os\nfrom snakepit_bridge import tool\n\
                @tool\ndef pid() -> int:\n    return os.getpid()\n\
                @tool\ndef die() -> None:\n    os._exit(3)\n";
    let adapter = scene.adapter(good);
    let pool = scene.pool_of(&adapter, 2).configure(|pool| {
        pool.restart.initial_backoff = Duration::from_millis(20);
    });
    let snakepit = scene.host(pool).start().await.unwrap();
    scene.adapter("raise RuntimeError('broken on disk')\n");
    assert!(snakepit.execute::<()>("die", ()).await.is_err());
    let first: i64 = snakepit.execute("pid", ()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(snakepit.execute::<i64>("pid", ()).await.unwrap(), first);
    }
    scene.close(snakepit).await;
    row.holds("the other worker serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_76_the_whole_pool_has_a_bad_import() {
    let row = Row::new(76, "adapter cannot be imported");
    let scene = Scene::new();
    let adapter = scene.adapter("import no_such_module_at_all\n");
    let (error, took) = refused(&scene, scene.pool_of(&adapter, 4)).await;
    assert_eq!(error.code(), ErrorCode::AdapterFailed);
    clean(scene).await;
    row.holds(format!("{} after {}", error.code(), ms(took)));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_86_environment_is_scrubbed() {
    let row = Row::new(86, "secrets in the host's environment");
    let scene = Scene::new();
    let snakepit = scene.host(scene.pool(1)).start().await.unwrap();
    let names: Vec<String> = snakepit.execute("environment", args! {}).await.unwrap();
    // The tests themselves run with cargo's variables, which are not on the allow-list.
    assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO")));
    for name in &names {
        let held_back = name.starts_with("CARGO") || name == "SNAKEPIT_WORKER_TOKEN";
        assert!(!held_back, "{name} has passed");
    }
    scene.close(snakepit).await;
    row.holds("only the list passes; the token is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_29_descriptors_of_workers() {
    let row = Row::new(29, "descriptors of a Python worker");
    let scene = Scene::new();
    let snakepit = scene.host(scene.pool(2)).start().await.unwrap();
    let files: Vec<String> = snakepit.execute("descriptors", ()).await.unwrap();
    for file in &files {
        let data = scene.data();
        assert!(!file.starts_with(data.to_str().unwrap()), "{file}");
    }
    scene.close(snakepit).await;
    row.holds(format!(
        "{} descriptors, none of the data directory",
        files.len()
    ));
}
