//! Hosts that are missing, disappear, or are not hosts at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use snakepit_core::error::ErrorCode;
use snakepit_diag::{AdminError, Client, Hosts};

use crate::fake_hosts::serve_as;
use crate::support::Host;

impl Host {
    fn socket(&self) -> PathBuf {
        self.registry.socket_dir().join("admin")
    }
}

async fn refused(host: &Host) -> AdminError {
    let error = Client::connect(&host.found()).await.unwrap_err();
    assert!(!error.help().is_empty());
    // The host itself is not affected.
    host.call("echo").await.unwrap();
    error
}

#[tokio::test]
async fn without_a_host_or_with_several_the_error_says_what_to_name() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("pit");
    let error = Hosts::find(&data).unwrap().only().unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoHost);
    assert!(!data.exists(), "a look makes nothing");
    let one = Host::start_in(data.clone(), 1).await;
    let two = Host::start_in(data.clone(), 1).await;
    let error = Hosts::find(&data).unwrap().only().unwrap_err();
    assert_eq!(error.code(), ErrorCode::SeveralHosts);
    let (first, second) = (
        one.registry.run_id().to_string(),
        two.registry.run_id().to_string(),
    );
    assert!(error.to_string().contains(&first) && error.to_string().contains(&second));
    let named = Hosts::find(&data).unwrap().named(&second[..20]).unwrap();
    let mut client = Client::connect(&named).await.unwrap();
    let report = client.report().await.unwrap();
    assert_eq!(report.host.run, Some(second));
    for unknown in ["", "zzzz", "../.."] {
        let error = Hosts::find(&data).unwrap().named(unknown).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NoHost, "{unknown}");
    }
    fs::write(home.path().join("file"), "").unwrap();
    let error = Hosts::find(&home.path().join("file")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DataDir);
}

#[tokio::test]
async fn a_host_that_ends_while_it_is_looked_at_is_gone_and_streams_end() {
    let mut host = Host::start(1).await;
    let (mut client, mut other) = (host.client().await, host.client().await);
    let follow = other.events("*", 0, true).await.unwrap();
    let mut follow = std::pin::pin!(follow);
    follow.next().await.unwrap().unwrap();
    host.server.take().unwrap().stop().await;
    while let Some(Ok(_)) = follow.next().await {}
    let error = client.report().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::HostGone, "{error:?}");
    host.call("echo").await.unwrap();
}

#[tokio::test]
async fn a_socket_that_was_left_behind_or_removed_is_told_apart() {
    let mut host = Host::start(1).await;
    drop(host.server.take());
    // The service has ended once its socket is closed.
    while std::os::unix::net::UnixStream::connect(host.socket()).is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(refused(&host).await, AdminError::Gone { .. }));
    fs::remove_file(host.socket()).unwrap();
    let error = refused(&host).await;
    assert!(matches!(error, AdminError::SwitchedOff { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::AdminSocket);
}

#[tokio::test]
async fn what_is_no_socket_of_ours_is_not_trusted() {
    let host = Host::start(1).await;
    let (socket, elsewhere) = (host.socket(), host.data.join("elsewhere"));
    fs::rename(&socket, &elsewhere).unwrap();
    symlink(&elsewhere, &socket).unwrap();
    let error = refused(&host).await;
    assert_eq!(error.code(), ErrorCode::AdminSocket);
    assert!(error.to_string().contains("symbolic link"), "{error}");
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "").unwrap();
    let error = refused(&host).await;
    assert!(error.to_string().contains("not a socket"), "{error}");
}

#[tokio::test]
async fn a_run_directory_that_is_gone_is_an_error_and_the_host_goes_on() {
    let host = Host::start(1).await;
    let found = host.found();
    let mut attached = host.client().await;
    let run = host.registry.socket_dir().parent().unwrap().to_owned();
    fs::remove_dir_all(&run).unwrap();
    let error = Client::connect(&found).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::AdminSocket, "{error:?}");
    attached.report().await.unwrap();
    host.call("echo").await.unwrap();
}

#[tokio::test]
async fn a_directory_that_was_removed_comes_back_with_its_socket() {
    let host = Host::start(1).await;
    let run = host.registry.socket_dir().parent().unwrap().to_owned();
    for removed in [host.socket(), run, host.data.clone()] {
        let mut attached = host.client().await;
        if removed.is_dir() {
            fs::remove_dir_all(&removed).unwrap();
        } else {
            fs::remove_file(&removed).unwrap();
        }
        let mut client = loop {
            let hosts = Hosts::find(&host.data);
            if let Ok(found) = hosts.and_then(Hosts::only)
                && let Ok(client) = Client::connect(&found).await
            {
                break client;
            }
            tokio::task::yield_now().await;
        };
        for client in [&mut client, &mut attached] {
            assert_eq!(client.report().await.unwrap().pools[0].worker_count, 1);
        }
        host.call("echo").await.unwrap();
    }
}

#[tokio::test]
async fn a_socket_of_something_else_is_no_host() {
    let mut host = Host::start(1).await;
    drop(host.server.take());
    fs::remove_file(host.socket()).unwrap();
    // A server that accepts connections and closes them.
    let listener = UnixListener::bind(host.socket()).unwrap();
    let closing = std::thread::spawn(move || drop(listener.accept()));
    assert!(matches!(refused(&host).await, AdminError::Gone { .. }));
    closing.join().unwrap();
}

#[tokio::test]
async fn a_host_that_says_nothing_is_not_gone() {
    let mut host = Host::start(1).await;
    drop(host.server.take());
    fs::remove_file(host.socket()).unwrap();
    let listener = UnixListener::bind(host.socket()).unwrap();
    let found = host.found();
    tokio::time::pause();
    let error = Client::connect(&found).await.unwrap_err();
    tokio::time::resume();
    assert!(matches!(error, AdminError::Silent { .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::HostStopped);
    assert!(error.to_string().contains("10 s"), "{error}");
    drop(listener);
}

#[tokio::test]
async fn a_host_whose_metadata_is_damaged_is_found_by_its_socket() {
    let host = Host::start(1).await;
    let run = host.registry.socket_dir().parent().unwrap().to_owned();
    fs::write(run.join("meta.json"), "garbage").unwrap();
    let found = host.found();
    assert_eq!(found.pid, std::process::id());
    assert!(!found.program.is_empty());
    host.call("echo").await.unwrap();
}

#[tokio::test]
async fn a_recording_that_is_none_is_told_by_its_name() {
    let host = Host::start(1).await;
    let run = host.registry.socket_dir().parent().unwrap().to_owned();
    fs::write(run.join("flight-0"), "nothing").unwrap();
    let error = host.hosts().recordings(None).unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadRecording);
    assert!(error.to_string().contains("flight-0"), "{error}");
    let id = host.registry.run_id().to_string();
    assert!(host.hosts().recordings(Some(&id)).is_err());
    let unknown = host.hosts().recordings(Some("zzz")).unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::NoHost);
}

#[tokio::test]
async fn an_older_and_a_newer_host_are_told_by_their_version() {
    let mut host = Host::start(1).await;
    drop(host.server.take());
    // The field `protocol` of the reply: 0 is not written, 2 is the next one.
    for (message, version) in [(&b""[..], 0), (&[0x08, 2], 2)] {
        fs::remove_file(host.socket()).unwrap();
        let listener = tokio::net::UnixListener::bind(host.socket()).unwrap();
        let served = serve_as(listener, |_| vec![message.to_vec()]);
        let (error, ()) = tokio::join!(refused(&host), served);
        assert!(
            matches!(error, AdminError::Version { theirs, ours: 1, .. } if theirs == version),
            "{error:?}"
        );
        assert_eq!(error.code(), ErrorCode::HostVersion);
    }
}
