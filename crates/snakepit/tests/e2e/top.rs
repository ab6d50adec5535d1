//! `snakepit top` in a terminal, and the commands that change a host.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;
use snakepit::diag::top::{Options, Source, run as run_top};
use snakepit::diag::{ReelReader, ReelWriter, Report};

use crate::cli_support::{command, run};
use crate::diagnostics::Host;
use crate::support::root;
use crate::terminal::Terminal;

impl Host {
    fn top(&self, arguments: &[&str], (columns, rows): (u16, u16)) -> Terminal {
        let mut command = self.command();
        command.arg("top").args(arguments);
        Terminal::start(&command, columns, rows)
    }
}

fn signal(terminal: &Terminal, signal: Signal) {
    kill(Pid::from_raw(terminal.child.id().cast_signed()), signal).unwrap();
}

#[test]
fn a_host_is_watched_and_its_workers_are_asked() {
    let host = Host::start();
    let mut top = host.top(&[], (120, 30));
    let text = top.until(|text| text.contains("main-1") && text.contains("busy"));
    for part in [
        "snakepit top",
        "POOL",
        "1/1",
        "WORKER",
        "busy",
        "NO FINDINGS",
        "q quit",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    top.press("s");
    top.shows("tools.py:8 in wait");
    top.press("\x1b");
    top.shows("TROUBLE");
    top.press("l");
    top.shows("waiting for the pipe");
    top.press("x");
    top.shows("TROUBLE");
    top.press("f");
    top.shows("sampling main-1");
    top.shows("flame graph of main-1");
    top.until(|text| text.contains(" wait  ") && text.contains("tools.py:"));
    top.press("x");
    top.shows("TROUBLE");
    top.press("F");
    top.shows("flame graph of pool main");
    top.press("x");
    top.press("r");
    top.shows("actions are not allowed");
    top.press("/nothing\r");
    top.shows("no worker matches the filter");
    top.press(" ");
    top.shows("paused");
    top.press("q");
    let (status, _) = top.end();
    assert!(status.success(), "{status}");
    assert_eq!(host.finish(), "done\n");
}

#[test]
fn a_terminal_that_cannot_place_text_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let mut command = command(home.path());
    command.arg("top").env("TERM", "dumb");
    let (status, text) = Terminal::start(&command, 100, 24).end();
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(text.contains("SP1006") && text.contains("--once"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_terminal_that_is_closed_ends_the_view_as_its_signal_does() {
    let host = Host::start();
    let mut top = host.top(&[], (100, 24));
    top.shows("busy");
    let status = top.hang_up();
    assert_eq!(status.code(), Some(129), "{status}");
}

#[test]
fn a_call_is_cancelled_by_a_key_where_actions_are_allowed() {
    let mut host = Host::start();
    let mut top = host.top(&["--allow-actions"], (120, 30));
    top.shows("busy");
    top.press("k");
    top.shows("cancel call 1 (wait)?");
    top.press("n");
    top.shows("k cancel");
    top.press("ky");
    // The host is a program that ends with its call.
    let (status, text) = top.end();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("error[SP9003]"), "{text}");
    assert!(!host.child.wait().unwrap().success());
}

#[test]
fn a_host_that_dies_ends_the_view_with_its_code() {
    let mut host = Host::start();
    let mut top = host.top(&[], (80, 24));
    top.shows("main-1");
    host.child.kill().unwrap();
    let (status, text) = top.end();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(
        text.contains("error[SP9003]") && text.contains("help:"),
        "{text}"
    );
}

#[test]
fn signals_end_the_view_and_give_the_terminal_back() {
    let host = Host::start();
    for (number, code) in [
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
        (Signal::SIGINT, 130),
    ] {
        let mut top = host.top(&[], (80, 24));
        top.shows("main-1");
        signal(&top, number);
        let (status, text) = top.end();
        assert_eq!(status.code(), Some(code), "{number}: {text}");
    }
}

#[test]
fn a_tiny_terminal_has_a_screen_and_a_larger_one_has_more() {
    let host = Host::start();
    let mut top = host.top(&[], (20, 5));
    let text = top.shows("main 1/1");
    assert!(!text.contains("WORKER"), "{text}");
    top.resize(100, 30);
    top.shows("WORKER");
    top.resize(10, 2);
    top.until(|text| !text.contains("WORKER"));
    top.press("q");
    assert!(top.end().0.success());
}

#[test]
fn a_tiny_terminal_has_room_for_what_the_host_answers() {
    let host = Host::start();
    let mut top = host.top(&[], (20, 5));
    top.shows("main 1/1");
    for key in ["f", "F"] {
        top.press(key);
        top.shows("sampling");
        top.shows("flame graph of");
        top.press("x");
        top.shows("main 1/1");
    }
    top.press("s");
    top.shows("stacks of main-1");
    top.press("\x1b[6~x");
    top.shows("main 1/1");
    top.press("q");
    assert!(top.end().0.success());
}

#[test]
fn one_screen_needs_no_terminal() {
    let host = Host::start();
    let refused = host.run(&["top"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--once"), "{refused:?}");
    let file = host.dir().join("looks");
    let file = file.to_str().unwrap();
    let once = host.run(&["top", "--once", "--record", file]);
    assert!(
        once.stdout.contains("main-1") && once.stdout.contains("wait"),
        "{once:?}"
    );
    assert!(!once.stdout.contains('\x1b'), "{once:?}");
    let json = host.json(&["top", "--once"]);
    assert_eq!(json["pools"][0]["calls"][0]["tool"], "wait");
    assert!(
        json["pools"][0]["workers"][0]["cpu_percent"].is_number(),
        "{json}"
    );
    assert!(json["findings"].is_array());
    let replayed = host.run(&["top", "--once", "--replay", file]);
    assert_eq!(replayed.status, Some(0), "{replayed:?}");
    let rest = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rest(&replayed.stdout), rest(&once.stdout));
    let bad = host.run(&["top", "--once", "--replay", "tools.py"]);
    assert_eq!(bad.status, Some(1), "{bad:?}");
    assert!(bad.stderr.starts_with("error[SP9008]"), "{bad:?}");
    let unwritten = host.run(&["top", "--once", "--record", "no/where"]);
    assert_eq!(unwritten.status, Some(1), "{unwritten:?}");
}

#[test]
fn a_recording_is_shown_to_its_end_and_beyond() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("looks");
    let mut writer = ReelWriter::create(&file).unwrap();
    for at in [1.0, 1.1] {
        let mut report = Report::of([]);
        report.at = at;
        writer.add(&report).unwrap();
    }
    let mut command = crate::cli_support::command(dir.path());
    command.args(["top", "--replay", "looks"]);
    let mut top = Terminal::start(&command, 100, 24);
    top.shows("end of the recording");
    top.press("s");
    top.shows("there is no worker");
    top.press("q");
    assert!(top.end().0.success());
}

/// `docs/images/top.svg` shows `docs/images/top.looks`: its last picture is the end of the
/// recording.
#[test]
fn the_picture_of_the_page_is_what_its_recording_shows() {
    let images = root().join("docs/images");
    let shown = run(&images, ["top", "--once", "--replay", "top.looks"]);
    let shown = shown.stdout.replace("  end of the recording", "");
    let shown: Vec<_> = shown.lines().filter(|line| !line.is_empty()).collect();
    let picture = fs::read_to_string(images.join("top.svg")).unwrap();
    let (_, last) = picture.rsplit_once("<g ").unwrap();
    let texts = last.split("<text ").skip(1);
    let texts = texts.map(|text| {
        let (_, text) = text.split_once('>').unwrap();
        let (text, _) = text.split_once("</text>").unwrap();
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&")
    });
    assert_eq!(shown, texts.collect::<Vec<_>>());
}

/// The part of the next test that runs in a terminal.
#[test]
fn the_view_panics_where_it_is_told_to() {
    let Some(file) = std::env::var_os("SNAKEPIT_TEST_PANIC") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = Options {
        every: std::time::Duration::from_secs(1),
        colour: true,
        allow_actions: false,
        record: None,
    };
    let reel = ReelReader::open(file.as_ref()).unwrap();
    let stop = async { panic!("as it was told to") };
    let _ = runtime.block_on(run_top(Source::Reel(reel), options, stop));
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("looks");
    ReelWriter::create(&file).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env("SNAKEPIT_TEST_PANIC", &file)
        .env("RUST_BACKTRACE", "0");
    command.args([
        "--exact",
        "top::the_view_panics_where_it_is_told_to",
        "--nocapture",
    ]);
    let top = Terminal::start(&command, 100, 24);
    let (status, text) = top.end();
    assert!(!status.success() && status.signal().is_none(), "{status}");
    assert!(text.contains("as it was told to"), "{text}");
}

#[test]
fn actions_need_permission_and_say_what_they_did() {
    let host = Host::start();
    for arguments in [
        &["recycle", "main-1"][..],
        &["drain", "main-1"],
        &["cancel", "1"],
    ] {
        let refused = host.run(arguments);
        assert_eq!(
            (refused.status, &*refused.stdout),
            (Some(1), ""),
            "{refused:?}"
        );
        assert!(refused.stderr.starts_with("error[SP9005]"), "{refused:?}");
        assert!(refused.stderr.contains("--allow-actions"), "{refused:?}");
    }
    let unknown = host.run(&["drain", "main-9", "--allow-actions"]);
    assert!(unknown.stderr.starts_with("error[SP1004]"), "{unknown:?}");
    assert_eq!(unknown.status, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("status --detailed"), "{unknown:?}");
    let drained = host.run(&["drain", "main-1", "--allow-actions"]);
    assert_eq!(drained.stdout, "main-1 drains\n", "{drained:?}");
    let cancelled = host.run(&["cancel", "1", "--allow-actions", "--json"]);
    let cancelled: Json = serde_json::from_str(&cancelled.stdout).unwrap();
    assert_eq!(cancelled["call"], 1);
}

#[test]
fn a_worker_is_recycled_by_a_command() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("pit");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let snakepit = runtime.block_on(async {
        let builder = snakepit::Snakepit::builder().data_dir(&data);
        builder
            .pool(crate::support::pool("main", 1))
            .start()
            .await
            .unwrap()
    });
    let arguments = ["recycle", "main-1", "--allow-actions", "--data-dir", "pit"];
    let recycled = run(home.path(), arguments);
    assert_eq!(
        recycled.stdout, "main-2 has replaced main-1\n",
        "{recycled:?}"
    );
    let status = run(home.path(), ["status", "--json", "--data-dir", "pit"]);
    let status: Json = serde_json::from_str(&status.stdout).unwrap();
    let workers = status["pools"][0]["workers"].as_array().unwrap();
    let replacement = workers
        .iter()
        .find(|worker| worker["id"] == "main-2")
        .unwrap();
    assert_eq!(replacement["generation"], 1);
    runtime.block_on(snakepit.shutdown());
    fs::remove_dir_all(data).unwrap();
}
