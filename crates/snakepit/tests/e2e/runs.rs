//! Commands that read recordings, beside hosts that run and that have ended.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;

use serde_json::Value as Json;

use crate::cli_support::Run;
use crate::diagnostics::Host;

impl Host {
    fn run_id(&self) -> String {
        self.json(&["ps"])[0]["run"].as_str().unwrap().to_owned()
    }

    /// Leaves the recording of a dead host behind. Returns its run, which has the first characters
    /// of the host's own.
    fn leave(&self) -> String {
        let own = self.run_id();
        let pit = self.dir().join("pit");
        let last = if own.ends_with('z') { 'y' } else { 'z' };
        let dead = format!("{}{last}", &own[..25]);
        let dir = pit.join("recordings").join(&dead);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&dir).unwrap();
        for file in ["flight-0", "meta.json"] {
            fs::copy(pit.join("runs").join(&own).join(file), dir.join(file)).unwrap();
        }
        dead
    }
}

fn json(run: &Run) -> Json {
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn each_command_reads_the_host_that_runs_and_a_dead_one_only_by_its_name() {
    let host = Host::start();
    let own = host.run_id();
    let dead = host.leave();
    let report = host.run(&["report"]);
    assert!(
        report.stdout.starts_with(&format!("run {own}\n")),
        "{report:?}"
    );
    let report = json(&host.run(&["report", "--json"]));
    assert_eq!(
        (&report["run"], &report["running"]),
        (&Json::from(&*own), &true.into())
    );
    let traced = json(&host.run(&["trace"]));
    assert_eq!(traced["otherData"]["run"], own);
    let named = host.run(&["report", "--run", &dead]);
    assert!(
        named
            .stdout
            .starts_with(&format!("run {dead}  its host died\n"))
            && named.stdout.contains("1 cut by the death of its host"),
        "{named:?}"
    );
    let outcome = |report: &Json| report["pools"][0]["calls"][0]["outcome"].clone();
    let named = json(&host.run(&["report", "--json", "--run", &dead]));
    assert_eq!(outcome(&named), "cut by the death of its host");
    assert_eq!(outcome(&report), "running");
    let page = ["report", "--html", "page.html", "--run", &own[..25]];
    for several in [
        &["report", "--run", &own[..25]][..],
        &["trace", "--run", &own[..25]],
        &page,
    ] {
        let refused = host.run(several);
        assert_eq!(refused.status, Some(1), "{refused:?}");
        assert!(
            refused.stderr.starts_with("error[SP9002]: 2 runs match"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("snakepit ps --all"), "{refused:?}");
    }
    let status = host.run(&["status", "--run", &dead]);
    assert!(
        status.stderr.starts_with(&format!(
            "error[SP9001]: the host of run `{dead}` has ended"
        )),
        "{status:?}"
    );
    assert_eq!(host.run(&["status", "--run", &own[..25]]).status, Some(0));
    // The readable runs are listed.
    let listed = host.run(&["ps", "--all"]);
    let lines: Vec<_> = listed.stdout.lines().collect();
    assert!(
        lines[2].starts_with(&dead) && lines[2].contains("ended"),
        "{listed:?}"
    );
    let listed = host.json(&["ps", "--all"]);
    let facts = |row: &Json| {
        (
            row["run"].clone(),
            row["state"].clone(),
            row["calls"].clone(),
        )
    };
    assert_eq!(facts(&listed[0]), (own.into(), "runs".into(), Json::Null));
    assert_eq!(facts(&listed[1]), (dead.into(), "ended".into(), 1.into()));
    assert!(listed[1]["ended"].as_f64().unwrap() > 1e9, "{listed}");
    assert_eq!(host.json(&["ps"]).as_array().unwrap().len(), 1);
    assert_eq!(host.finish(), "done\n");
}

/// Returns the lines of the doctor from the check of the records on.
fn records(host: &Host) -> Vec<String> {
    let doctor = host.run(&["doctor"]);
    assert_eq!(doctor.status, Some(0), "{doctor:?}");
    let lines = doctor.stdout.lines();
    let of_records = lines.skip_while(|line| !line.contains("  orphans    "));
    of_records.map(str::to_owned).collect()
}

#[test]
fn the_doctor_tells_of_damaged_files_of_a_dead_host() {
    let mut host = Host::start();
    let run = host.dir().join("pit/runs").join(host.run_id());
    host.kill();
    host.child.wait().unwrap();
    // A host that lives repairs the file itself.
    fs::write(run.join("meta.json"), "{").unwrap();
    let lines = records(&host);
    assert!(
        lines[0].starts_with("warning") && lines[0].contains("meta.json"),
        "{lines:?}"
    );
    assert!(lines[1].contains("which cleans up"), "{lines:?}");
    let lines = records(&host);
    assert!(
        lines[0].starts_with("ok") && !lines[0].contains("meta.json"),
        "{lines:?}"
    );
}

#[test]
fn a_call_of_a_host_that_runs_is_as_old_as_it_is_now() {
    let host = Host::start();
    let took = |report: &Json| {
        let pool = &report["pools"][0];
        let findings = pool["findings"].as_array().unwrap();
        (pool["calls"][0]["at"].as_f64().unwrap(), findings.len())
    };
    let (at, _) = took(&host.json(&["report"]));
    // The column AGO has the time since the call was made.
    loop {
        let report = host.run(&["report"]);
        let line = report.stdout.lines().find(|line| line.contains(" wait "));
        let ago: Vec<_> = line.unwrap().split_whitespace().skip(1).take(2).collect();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        if now.unwrap().as_secs_f64() - at > 2.0 {
            let seconds: f64 = ago[0].parse().unwrap();
            assert_eq!(ago[1], "s", "{report:?}");
            assert!(seconds >= 1.0, "{report:?}");
            break;
        }
    }
    assert_eq!(host.finish(), "done\n");
}
