//! Finding hosts and reading their directories: sockets, files, and untrusted entries.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::atomic::Ordering;

use snakepit_registry::{Error, HostRun, Registry, RegistryConfig};

/// Opens a registry in this process, and returns it with the view that others have of it.
fn host(home: &tempfile::TempDir) -> (Registry, HostRun) {
    let data = home.path().join("pit");
    let registry = Registry::open(RegistryConfig::new(&data)).expect("a run");
    let (mut runs, problems) = Registry::host_runs(&data).expect("it is ours");
    assert!(problems.is_empty(), "{problems:?}");
    let run = runs.pop().expect("there is one");
    assert!(runs.is_empty() && run.alive);
    assert_eq!(run.run_id, registry.run_id());
    assert_eq!(
        run.meta.as_ref().expect("it is whole").host_pid,
        std::process::id()
    );
    (registry, run)
}

#[test]
fn a_socket_is_reached_through_the_directory_and_replaced_when_it_is_there() {
    let home = tempfile::tempdir().expect("a directory");
    let (registry, run) = host(&home);
    let missing = run.connect("admin").expect_err("nobody listens");
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
    let old = registry.listen("admin").expect("it is free");
    let listener = registry.listen("admin").expect("the old one makes room");
    drop(old);
    let mut client = run.connect("admin").expect("somebody listens");
    let (mut server, _) = listener.accept().expect("a connection");
    client.write_all(b"hello").expect("it is open");
    drop(client);
    let mut text = String::new();
    server.read_to_string(&mut text).expect("it was closed");
    assert_eq!(text, "hello");
    drop(listener);
    let left = run.connect("admin").expect_err("it was left behind");
    assert!(left.to_string().contains("refused"), "{left}");
}

#[test]
fn what_is_no_socket_is_not_connected_to() {
    let home = tempfile::tempdir().expect("a directory");
    let (registry, run) = host(&home);
    let sockets = registry.socket_dir();
    let elsewhere = home.path().join("elsewhere");
    let _listener = UnixListener::bind(&elsewhere).expect("it is free");
    symlink(&elsewhere, sockets.join("link")).expect("it is free");
    fs::write(sockets.join("file"), "").expect("it is free");
    for (name, problem) in [("link", "symbolic link"), ("file", "not a socket")] {
        let error = run.connect(name).expect_err("it is not a socket");
        assert_eq!(error.code(), "SP6012", "{error}");
        assert!(error.to_string().contains(problem), "{error}");
    }
    fs::rename(&sockets, home.path().join("moved")).expect("it is ours");
    symlink(home.path().join("moved"), &sockets).expect("it is free");
    let error = run.connect("file").expect_err("the directory is a link");
    assert_eq!(error.code(), "SP6001", "{error}");
}

#[test]
fn words_are_shared_with_whoever_reads_the_file() {
    let home = tempfile::tempdir().expect("a directory");
    let (registry, run) = host(&home);
    let words = registry
        .share_words("flight-0", 100)
        .expect("there is room");
    words[99].store(7, Ordering::Relaxed);
    let bytes = run
        .read("flight-0", 800)
        .expect("it is ours")
        .expect("it is there");
    assert_eq!(
        (bytes.len(), &bytes[792..]),
        (800, &7_u64.to_ne_bytes()[..])
    );
    let large = run.read("flight-0", 799).expect_err("it is too large");
    assert_eq!(large.code(), "SP6012", "{large}");
    assert!(
        run.read("flight-1", 800)
            .expect("none is no error")
            .is_none()
    );
    for other in ["flight-2", "flight-10"] {
        registry.share_words(other, 100).expect("there is room");
    }
    assert_eq!(
        run.recordings().expect("it is ours"),
        ["flight-0", "flight-2", "flight-10"]
    );
    let _ = registry.close().expect("it closes");
    assert!(run.recordings().expect("none is no error").is_empty());
    words[0].store(1, Ordering::Relaxed);
    assert!(
        run.read("flight-0", 800)
            .expect("none is no error")
            .is_none()
    );
}
