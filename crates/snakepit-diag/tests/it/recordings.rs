//! Which run is meant, and what can be read of it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;

use snakepit_core::error::ErrorCode;
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_diag::{Found, Hosts};

use crate::support::Host;

impl Host {
    /// Returns the file of a recording.
    fn flight(&self, number: usize) -> PathBuf {
        let sockets = self.registry.socket_dir();
        sockets.parent().unwrap().join(format!("flight-{number}"))
    }

    /// Returns two last characters that the id of the host's run does not have, the greater first.
    fn others(&self) -> [char; 2] {
        let id = self.registry.run_id().to_string();
        let mut free = "zyx".chars().filter(|last| !id.ends_with(*last));
        [(); 2].map(|()| free.next().unwrap())
    }

    /// Leaves the recording of a dead host behind: what this host has recorded until now. Its id is
    /// that of the host with another last character.
    fn leave(&self, last: char) -> String {
        let mut id = self.registry.run_id().to_string();
        id.pop();
        id.push(last);
        let dir = self.data.join("recordings").join(&id);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&dir).unwrap();
        replace(&dir.join("flight-0"), &fs::read(self.flight(0)).unwrap());
        id
    }

    /// Returns the hosts as if this one did not run.
    fn none_running(&self) -> Hosts {
        let mut hosts = self.hosts();
        hosts.running.clear();
        hosts
    }
}

/// Replaces a file that the host has mapped.
fn replace(file: &std::path::Path, bytes: &[u8]) {
    let fresh = file.with_extension("fresh");
    fs::write(&fresh, bytes).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(fresh, file).unwrap();
}

#[tokio::test]
async fn a_host_that_runs_is_meant_before_dead_ones() {
    let host = Host::start(1).await;
    host.call("echo").await.unwrap();
    let own = host.registry.run_id().to_string();
    let [dead, _] = host.others().map(|last| host.leave(last));
    let recorded = host.hosts().recordings(None).unwrap();
    assert_eq!((&*recorded.run, recorded.running), (&*own, true));
    assert_eq!(host.hosts().recordings(Some(&dead)).unwrap().run, dead);
    // Their ids differ in the last character.
    let error = host.hosts().recordings(Some(&own[..25])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::SeveralHosts);
    let text = error.to_string();
    assert!(text.starts_with("3 runs match"), "{text}");
    assert!(text.contains(&own) && text.contains(&dead), "{text}");
    assert!(error.help().contains("ps --all"), "{}", error.help());
    let named = host.hosts().named(&own[..25]).unwrap();
    assert_eq!(named.run, own, "the others do not run");
    let error = host.hosts().named(&dead).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoHost);
    assert!(error.help().contains("report"), "{}", error.help());
    for unknown in ["", "zzz"] {
        let error = host.hosts().select(Some(unknown)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NoHost, "{unknown}");
    }
    let other = Host::start_in(host.data.clone(), 1).await;
    let error = host.hosts().recordings(None).unwrap_err();
    assert_eq!(error.code(), ErrorCode::SeveralHosts);
    assert!(error.to_string().starts_with("2 hosts run"), "{error}");
    drop(other);
}

#[tokio::test]
async fn without_a_host_that_runs_the_one_that_recorded_last_is_meant() {
    let host = Host::start(1).await;
    host.call("echo").await.unwrap();
    let [greater, less] = host.others();
    let first = host.leave(greater);
    host.call("echo").await.unwrap();
    let last = host.leave(less);
    let found = host.none_running().select(None).unwrap();
    let Found::Ended(found) = found else {
        panic!("none runs")
    };
    assert_eq!(found.run, last, "and not {first}");
    assert_eq!(found.recordings().unwrap().pools[0].calls.len(), 2);
    assert_eq!(host.hosts().ended.len(), 2);
}

#[tokio::test]
async fn calls_that_a_dead_host_has_not_ended_are_cut() {
    let host = Host::start(1).await;
    host.call("echo").await.unwrap();
    let (_, gate) = host.running("gate").await;
    let [dead, _] = host.others().map(|last| host.leave(last));
    let outcomes = |run: Option<&str>| {
        let recorded = host.hosts().recordings(run).unwrap();
        let calls = recorded.pools[0].calls.iter();
        let calls: Vec<_> = calls
            .map(|call| (call.outcome, call.duration_us.is_some()))
            .collect();
        (recorded.running, calls)
    };
    let cut = "cut by the death of its host";
    assert_eq!(
        outcomes(None),
        (true, vec![("ok", true), ("running", false)])
    );
    assert_eq!(
        outcomes(Some(&dead)),
        (false, vec![("ok", true), (cut, false)])
    );
    gate.abort();
}

#[tokio::test]
async fn a_bad_recording_is_left_out_and_the_others_are_read() {
    let host = Host::start(1).await;
    let profile = std::sync::Arc::new(host.profile.clone());
    let pool = Pool::start(PoolConfig::new("other"), profile).unwrap();
    host.server.as_ref().unwrap().host().add_pool(&pool);
    host.call("echo").await.unwrap();
    let whole = fs::read(host.flight(0)).unwrap();
    let names = |hosts: Hosts| {
        let recorded = hosts.recordings(None).unwrap();
        let pools = recorded.pools.iter().map(|pool| pool.pool.clone());
        (pools.collect::<Vec<_>>(), recorded.problems)
    };
    replace(&host.flight(0), b"nothing");
    let (pools, problems) = names(host.hosts());
    assert_eq!((&*pools, problems.len()), (&["other".to_owned()][..], 1));
    assert_eq!(problems[0].code(), ErrorCode::BadRecording);
    assert!(problems[0].to_string().contains("flight-0"), "{problems:?}");
    fs::remove_file(host.flight(0)).unwrap();
    let (pools, problems) = names(host.hosts());
    let gap = "a gap in the numbers hides no other pool";
    assert_eq!(
        (&*pools, problems.len()),
        (&["other".to_owned()][..], 0),
        "{gap}"
    );
    fs::create_dir(host.flight(0)).unwrap();
    let (pools, problems) = names(host.hosts());
    assert_eq!((pools.len(), problems.len()), (1, 1));
    let (text, code) = (problems[0].to_string(), problems[0].code());
    assert_eq!(code, ErrorCode::BadRecording);
    assert!(
        text.contains("flight-0") && !text.contains("socket"),
        "{text}"
    );
    fs::remove_dir(host.flight(0)).unwrap();
    replace(&host.flight(0), &whole[..whole.len() / 2]);
    let (pools, problems) = names(host.hosts());
    assert_eq!((pools.len(), problems.len()), (2, 0));
    let half = host.hosts().recordings(None).unwrap();
    assert!(half.pools[0].missing_bytes > 0, "{half:?}");
}
