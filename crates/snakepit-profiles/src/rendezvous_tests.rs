//! Tests of the socket to which workers connect.

use tokio::io::AsyncWriteExt as _;

use super::*;

async fn dial(rendezvous: &Rendezvous, bytes: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(rendezvous.path()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Returns whether the host closed the connection; with unread bytes, that is a reset.
async fn is_refused(mut stream: UnixStream) -> bool {
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}

const TOKEN: Token = Token([7; 32]);

#[tokio::test]
async fn the_right_worker_comes_in_once_per_role() {
    let rendezvous = Rendezvous::open_in(&std::env::temp_dir()).unwrap();
    let mut invitation = rendezvous.invite(&"w-0".into(), TOKEN, 1);
    let control = Preamble::encode(Role::Control, &TOKEN, "w-0");
    let slot = Preamble::encode(Role::Slot(0), &TOKEN, "w-0");
    let _first = dial(&rendezvous, &control).await;
    assert_eq!(invitation.next().await.0, Role::Control);
    let _second = dial(&rendezvous, &slot).await;
    assert_eq!(invitation.next().await.0, Role::Slot(0));
    assert!(is_refused(dial(&rendezvous, &control).await).await);
    assert!(is_refused(dial(&rendezvous, &slot).await).await);
    let far = Preamble::encode(Role::Slot(1), &TOKEN, "w-0");
    assert!(is_refused(dial(&rendezvous, &far).await).await);
}

#[tokio::test]
async fn strangers_are_refused_while_others_hang() {
    let rendezvous = Rendezvous::open_in(&std::env::temp_dir()).unwrap();
    let mut invitation = rendezvous.invite(&"w-0".into(), TOKEN, 1);
    // These send nothing, or half a preamble, and must not delay the others.
    let _silent = dial(&rendezvous, b"").await;
    let _half = dial(&rendezvous, b"SNAKEPT1").await;
    let wrong = Preamble::encode(Role::Control, &Token([8; 32]), "w-0");
    let unknown = Preamble::encode(Role::Control, &TOKEN, "w-1");
    for bytes in [&wrong[..], &unknown, &[b'G'; 200], &[0; 46]] {
        assert!(is_refused(dial(&rendezvous, bytes).await).await);
    }
    let _right = dial(&rendezvous, &Preamble::encode(Role::Control, &TOKEN, "w-0")).await;
    assert_eq!(invitation.next().await.0, Role::Control);
}

#[tokio::test]
async fn the_right_ends_with_the_invitation() {
    let rendezvous = Rendezvous::open_in(&std::env::temp_dir()).unwrap();
    drop(rendezvous.invite(&"w-0".into(), TOKEN, 1));
    let bytes = Preamble::encode(Role::Control, &TOKEN, "w-0");
    assert!(is_refused(dial(&rendezvous, &bytes).await).await);
}

#[tokio::test]
async fn the_directory_is_private_and_goes_away() {
    use std::os::unix::fs::PermissionsExt as _;
    let rendezvous = Rendezvous::open_in(&std::env::temp_dir()).unwrap();
    let dir = rendezvous.path().parent().unwrap().to_owned();
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    drop(rendezvous);
    assert!(!dir.exists());
}

#[tokio::test]
async fn sockets_of_one_directory_are_apart() {
    let dir = tempfile::tempdir().unwrap();
    let one = Rendezvous::open(dir.path()).unwrap();
    let two = Rendezvous::open(dir.path()).unwrap();
    assert_ne!(one.path(), two.path());
    drop((one, two));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let long = dir.path().join("x".repeat(100));
    assert!(
        !Rendezvous::open(&long)
            .unwrap()
            .path()
            .starts_with(dir.path())
    );
}

#[tokio::test]
async fn a_path_that_is_too_long_is_an_error() {
    let parent = tempfile::tempdir().unwrap();
    let deep = parent.path().join("x".repeat(100));
    std::fs::create_dir(&deep).unwrap();
    assert!(
        Rendezvous::open_in(&deep)
            .unwrap_err()
            .contains("107 are possible")
    );
}

#[tokio::test]
async fn connections_that_say_nothing_shut_nobody_out() {
    let rendezvous = Rendezvous::open_in(&std::env::temp_dir()).unwrap();
    let mut invitation = rendezvous.invite(&"w-0".into(), TOKEN, 1);
    let mut silent = Vec::new();
    for _ in 0..700 {
        silent.push(dial(&rendezvous, b"").await);
    }
    let _right = dial(&rendezvous, &Preamble::encode(Role::Control, &TOKEN, "w-0")).await;
    assert_eq!(invitation.next().await.0, Role::Control);
    // It did not have to wait until the time of the others was over.
    let youngest = silent.pop().unwrap();
    let read = youngest.try_read(&mut [0; 1]);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert!(is_refused(silent.swap_remove(0)).await);
}
