//! A real Prometheus server scrapes, answers queries, and takes the rules and the dashboard.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use snakepit_core::events::{Event, Shown, TraceContext};
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::id::CallId;
use snakepit_telemetry::Telemetry;

use crate::support::{ask, measurement, skipped};

/// Returns the path of a program of the package. `None` if it is not installed: the reason is
/// printed, and in continuous integration (`CI=true`) that is a failure.
pub(crate) fn program(name: &str) -> Option<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|dir| dir.join(name).is_file());
    let Some(dir) = found else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "`{name}` is not installed\n  help: install the package `prometheus`"
        );
        skipped(&format!(
            "`{name}` is not installed; it is in the package `prometheus`"
        ));
        return None;
    };
    Some(Command::new(dir.join(name)))
}

fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dashboards")
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server on a free port, with one target and the rules.
    pub(crate) fn start(mut program: Command, target: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rules = dashboards().join("rules.yaml").canonicalize().unwrap();
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
             rule_files: [\"{}\"]\n\
             scrape_configs: [{{job_name: snakepit, static_configs: [{{targets: [\"{target}\"]}}]}}]\n",
            rules.display()
        );
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut child = program
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--enable-feature=exemplar-storage",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            let listening = line.contains("msg=\"Listening on\"");
            let (_, address) = line.split_once("address=").filter(|_| listening)?;
            address.split_whitespace().next()?.parse().ok()
        });
        // Drains the output, so that a full pipe does not block the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            address: address.expect("it says where it listens"),
            child,
            _dir: dir,
        }
    }

    async fn get(&self, path: &str, query: &str) -> Value {
        let mut escaped = String::new();
        for byte in query.bytes() {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        let request = format!("GET {path}{escaped} HTTP/1.0\r\n\r\n");
        let answer = ask(self.address, &request).await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_default()
    }

    /// Repeats a query until its answer has data.
    async fn data(&self, path: &str, query: &str) -> Value {
        let mut again = tokio::time::interval(Duration::from_millis(50));
        loop {
            again.tick().await;
            let mut answer = self.get(path, query).await;
            let data = answer["data"].take();
            let rows = data.get("result").unwrap_or(&data);
            if rows.as_array().is_some_and(|rows| !rows.is_empty()) {
                return data;
            }
        }
    }

    /// Repeats a query until it has a value.
    pub(crate) async fn value(&self, query: &str) -> f64 {
        let data = self.data("/api/v1/query?query=", query).await;
        data["result"][0]["value"][1]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_reads_the_metrics_with_their_exemplars_and_the_dashboard() {
    let Some(program) = program("prometheus") else {
        return;
    };
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let telemetry = Telemetry::builder()
        .prometheus(SocketAddr::from(([127, 0, 0, 1], 0)))
        .own_subscriber()
        .start()
        .unwrap();
    telemetry.attach(&state);
    let trace = TraceContext::start(true);
    for call in 0..42 {
        state.events().publish(Event::CallCompleted {
            pool: "main".into(),
            worker: Some(snakepit_core::id::WorkerId::new("main-1")),
            call: CallId(call),
            tool: "mean \"quoted\"\n".into(),
            outcome: "ok",
            code: None,
            items: 1,
            failed: 0,
            attempts: 1,
            sent_bytes: 100,
            received_bytes: 7,
            queued_us: 1_000,
            duration_us: 30_000,
            trace: Some(Shown(trace)),
        });
    }
    let recorder = state.events().recorder().unwrap();
    for name in ["tool.time", "tool_time", "snakepit.calls", "7 odd/näme", ""] {
        recorder.measurement(&measurement(name, 0.2, Some(trace)));
    }
    let server = Server::start(program, telemetry.prometheus_address().unwrap());
    let calls = server
        .value("sum(snakepit_calls_total{pool=\"main\",outcome=\"ok\"})")
        .await;
    assert_eq!(calls, 42.0);
    let tool = "rpc_client_call_duration_seconds_count{tool=\"mean \\\"quoted\\\"\\\\n\"}";
    assert_eq!(server.value(tool).await, 42.0);
    assert_eq!(server.value("tool_time_seconds_count").await, 1.0);

    let path = "/api/v1/query_exemplars?start=0&end=99999999999&query=";
    let found = server
        .data(path, "rpc_client_call_duration_seconds_bucket")
        .await;
    let exemplar = &found[0]["exemplars"][0];
    let trace_id = format!("{:032x}", u128::from_be_bytes(trace.trace_id()));
    assert_eq!(exemplar["labels"]["trace_id"], trace_id.as_str());
    assert_eq!(exemplar["value"], "0.03");

    // The rules are loaded and can be evaluated.
    let groups = server.get("/api/v1/rules", "").await;
    let rules = groups["data"]["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .clone();
    assert!(rules.len() >= 5);
    assert!(
        rules.iter().all(|rule| rule["health"] != "err"),
        "{rules:?}"
    );

    for query in queries() {
        let answer = server.get("/api/v1/query?query=", &query).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
    }
    telemetry.shutdown().await;
}

/// Returns the queries of the dashboard, with its variables filled in.
fn queries() -> Vec<String> {
    let text = std::fs::read_to_string(dashboards().join("grafana.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let queries: Vec<_> = targets
        .flatten()
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .map(|query| {
            query
                .replace("$__rate_interval", "1m")
                .replace("$pool", ".*")
        })
        .collect();
    assert!(queries.len() > 20);
    queries
}

#[test]
fn every_metric_of_the_dashboard_and_the_rules_is_there() {
    // Metrics that appear with their first event have no samples yet, so their names are taken from
    // the source.
    let known = include_str!("../../src/metrics/desc.rs");
    let rules = std::fs::read_to_string(dashboards().join("rules.yaml")).unwrap();
    let texts = queries().join("\n") + &rules;
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let own = |name: &&str| {
        ["snakepit_", "process_", "rpc_"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let names = known
        .split('"')
        .filter(|part| part.contains('.') && !part.contains(' '));
    let names: Vec<String> = names.map(|name| name.replace('.', "_")).collect();
    for used in texts.split(word).filter(own) {
        let ends = ["_bucket", "_count", "_sum", "_total"];
        let plain = ends
            .iter()
            .fold(used, |name, end| name.strip_suffix(end).unwrap_or(name));
        let plain = plain.strip_suffix("_seconds").unwrap_or(plain);
        let plain = plain.strip_suffix("_bytes").unwrap_or(plain);
        let there = |name: &String| name == plain || name == used;
        assert!(names.iter().any(there), "{used}");
    }
}

#[test]
fn the_rules_do_what_they_say() {
    for arguments in [
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules_test.yaml"],
    ] {
        let Some(mut promtool) = program("promtool") else {
            return;
        };
        let output = promtool
            .args(arguments)
            .current_dir(dashboards())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
