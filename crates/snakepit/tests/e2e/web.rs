//! The page in a real browser: live, and as a file.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use snakepit::args;

use crate::browser::Browser;
use crate::cli_support::run;
use crate::diagnostics::Host;

/// A server of the page.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(host: &Host) -> Self {
        let mut command = host.command();
        let mut child = command.args(["web", "--every", "100ms"]).spawn().unwrap();
        let mut url = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut url).unwrap();
        let url = url.trim().to_owned();
        Self { child, url }
    }

    fn address(&self) -> &str {
        let rest = self.url.strip_prefix("http://").unwrap();
        rest.split_once('/').unwrap().0
    }

    fn token(&self) -> &str {
        self.url.split_once("token=").unwrap().1
    }

    /// Sends the head of a request; returns the connection.
    fn send(&self, line: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            self.address()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// Returns the response to a request, including headers.
    fn answer(&self, line: &str, headers: &str) -> String {
        let mut stream = self.send(line, &format!("{headers}Connection: close\r\n"));
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shots() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots")
}

/// Shows the page in all widths, light and dark, and checks that it is never wider than the window.
pub(crate) fn look(browser: &mut Browser, name: &str) {
    browser.eval("document.activeElement.blur()");
    for (width, dark) in [
        (1440, false),
        (1440, true),
        (768, false),
        (375, false),
        (375, true),
    ] {
        browser.look(width, dark);
        let wide = browser.eval("document.documentElement.scrollWidth");
        assert_eq!(wide, width, "{name} is as wide as the window");
        let scheme = if dark { "dark" } else { "light" };
        browser.shoot(&shots().join(format!("{name}-{width}-{scheme}.png")));
    }
    browser.look(1440, false);
}

#[test]
fn a_live_page_shows_what_happens_until_the_host_ends() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut host = Host::start();
    let mut server = Server::start(&host);
    browser.look(1440, false);
    browser.open(&server.url);
    browser.until("document.getElementById('status').textContent === 'Live'");
    browser.until("document.querySelector('#worker-table tbody').textContent.includes('wait')");
    browser.until("document.getElementById('slow-table').textContent.includes('so far')");
    let card = browser.eval("document.querySelector('.card').textContent");
    let card = card.as_str().unwrap();
    assert!(
        card.contains("main") && card.contains("1 of 1 taken"),
        "{card}"
    );
    // By keyboard only: to the button of the worker, and back.
    let mut pressed = 0;
    let focused = "document.activeElement.getAttribute('aria-label')";
    while browser.eval(focused) != "Stacks of main-1" {
        browser.key("Tab");
        pressed += 1;
        assert!(pressed < 60, "the button can be reached");
    }
    browser.key("Enter");
    browser
        .until("document.getElementById('panel-text').textContent.includes('tools.py:8 in wait')");
    browser.key("Escape");
    browser.until("!document.getElementById('panel').open");
    browser.eval("document.getElementById('lanes').focus()");
    browser.key("ArrowRight");
    browser.until(
        "document.getElementById('stream-call').textContent.includes('Call 1: wait on main-1')",
    );
    browser.eval("document.getElementById('flame-start').focus()");
    browser.key("Enter");
    browser.until("document.getElementById('flame-state').textContent.includes(' samples in 2')");
    let bar = browser.eval("document.querySelector('#flames div').textContent");
    assert_eq!(bar, "wait");
    browser.eval("document.getElementById('flames').focus()");
    browser.key("ArrowRight");
    browser.until("document.getElementById('flame-frame').textContent.includes('tools.py:5')");
    look(&mut browser, "live");
    for url in browser.requests() {
        let own = url.starts_with(&format!("http://{}/", server.address()));
        assert!(
            own || url.starts_with("data:") || url == "about:blank",
            "{url}"
        );
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let pid = Pid::from_raw(host.child.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    let status = "document.getElementById('status').textContent";
    browser.until(&format!(
        "{status}.startsWith('No answer for') && {status}.includes('SP9010')"
    ));
    kill(pid, Signal::SIGCONT).unwrap();
    browser.until(&format!("{status} === 'Live'"));
    host.child.kill().unwrap();
    browser.until("document.getElementById('status').textContent.startsWith('The host has ended')");
    let status = server.child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    let mut told = String::new();
    let mut stderr = server.child.stderr.take().unwrap();
    stderr.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("error[SP9003]"), "{told}");
    let status = host.run(&["status"]);
    assert!(status.stderr.contains("`snakepit report`"), "{status:?}");
    // The recordings of the dead host can be shown as a page, too.
    let dead = host.run(&["report", "--html", "dead.html"]);
    assert_eq!(dead.status, Some(0), "{dead:?}");
    browser.open(&format!(
        "file://{}",
        host.dir().join("dead.html").display()
    ));
    let machine = browser.eval("document.getElementById('machine').textContent");
    assert!(
        machine.as_str().unwrap().contains("did not run any more"),
        "{machine}"
    );
    let slow = browser.eval("document.getElementById('slow-table').textContent");
    let slow = slow.as_str().unwrap();
    assert!(
        slow.contains("wait") && slow.contains("or morecut by the death of its host"),
        "{slow}"
    );
    browser.eval("document.getElementById('lanes').focus()");
    browser.key("ArrowRight");
    let call = "document.getElementById('stream-call').textContent";
    browser.until(&format!(
        "{call}.includes(', ran for ') && {call}.endsWith('cut by the death of its host')"
    ));
    assert_eq!(
        browser.eval("document.getElementById('flame').hidden"),
        true
    );
    let refused = host.run(&["report", "--html", "dead.html", "--profile", "1s"]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("has ended"), "{refused:?}");
}

#[test]
fn a_report_is_one_file_and_takes_texts_as_texts() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("pit");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let names = [
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(2)</script>",
        "a\u{202e}b",
    ];
    let snakepit = runtime.block_on(async {
        let builder = snakepit::Snakepit::builder().data_dir(&data);
        let pool = crate::support::pool("main", 2);
        let snakepit = builder.pool(pool).start().await.unwrap();
        for name in names {
            snakepit.execute::<()>(name, args! {}).await.unwrap_err();
        }
        snakepit
    });
    let written = run(
        home.path(),
        ["report", "--html", "report.html", "--data-dir", "pit"],
    );
    assert_eq!(written.stdout, "wrote report.html\n", "{written:?}");
    let file = home.path().join("report.html");
    browser.look(1440, false);
    browser.open(&format!("file://{}", file.display()));
    assert_eq!(
        browser.eval("document.getElementById('status').textContent"),
        "Report"
    );
    let tools = browser.eval("[...document.querySelectorAll('#slow-table td.text')].map((cell) => cell.textContent).sort()");
    let mut expected = names.map(|name| json!(name.replace('\u{202e}', "\\u{202e}")));
    expected.sort_by_key(ToString::to_string);
    let mut tools = tools.as_array().unwrap().clone();
    tools.sort_by_key(ToString::to_string);
    assert_eq!(tools, expected);
    assert_eq!(browser.eval("document.querySelectorAll('img').length"), 0);
    assert_eq!(browser.eval("document.scripts.length"), 2);
    let workers = browser.eval("document.querySelectorAll('#worker-table tbody tr').length");
    assert_eq!(workers, 2);
    // The header of a column sorts, by keyboard as well.
    browser.eval("document.querySelector('#worker-table th button').focus()");
    browser.key("Enter");
    browser.key("Enter");
    let first = browser.eval("document.querySelector('#worker-table tbody td').textContent");
    assert_eq!(first, "main-2");
    look(&mut browser, "report");
    // Only the file itself was requested.
    let asked = browser.requests();
    assert!(
        asked.iter().all(|url| url.starts_with("file:")
            || url.starts_with("data:")
            || url == "about:blank"),
        "{asked:?}"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let unwritten = run(
        home.path(),
        ["report", "--html", "no/where.html", "--data-dir", "pit"],
    );
    assert_eq!(unwritten.status, Some(1), "{unwritten:?}");
    runtime.block_on(snakepit.shutdown());
}

#[test]
fn strangers_are_refused_and_slow_browsers_harm_nobody() {
    let host = Host::start();
    let server = Server::start(&host);
    let token = server.token().to_owned();
    let page = server.answer(&format!("GET /?token={token}"), "");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    for part in [
        "content-security-policy: default-src 'none'; script-src 'nonce-",
        "frame-ancestors 'none'",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(!body.contains(&token), "the page itself does not have it");
    let origins = format!(
        "Origin: http://{}\r\nOrigin: http://evil.example\r\n",
        server.address()
    );
    for (line, headers) in [
        (format!("GET /?token={token}"), &*origins),
        (format!("GET http://evil.example/?token={token}"), ""),
        ("GET /".to_owned(), ""),
        ("GET /?token=0".to_owned(), ""),
        ("GET /events".to_owned(), ""),
        (
            format!("GET /?token={token}"),
            "Origin: http://evil.example\r\n",
        ),
        (format!("GET /events?token={token}"), "Origin: null\r\n"),
        (
            format!("GET /stacks?token={token}"),
            "Sec-Fetch-Site: cross-site\r\n",
        ),
        (format!("GET /?token={token}"), "Host: evil.example\r\n"),
    ] {
        let answer = server.answer(&line, headers);
        assert!(
            answer.starts_with("HTTP/1.1 403"),
            "{line} {headers}: {answer}"
        );
        assert!(!answer.contains(&token));
    }
    let posted = server.answer(&format!("POST /?token={token}"), "Content-Length: 0\r\n");
    assert!(posted.starts_with("HTTP/1.1 405"), "{posted}");
    let unknown = server.answer(&format!("GET /etc/passwd?token={token}"), "");
    assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
    let unknown = server.answer(&format!("GET /stacks?worker=%3Cb%3E&token={token}"), "");
    assert!(
        unknown.contains("SP1004") && unknown.contains("<b>"),
        "{unknown}"
    );
    let unknown = server.answer(&format!("GET /profile?pool=gpu&token={token}"), "");
    assert!(unknown.contains("SP1003"), "{unknown}");
    let large = server.answer("GET /", &format!("X: {}\r\n", "x".repeat(100_000)));
    assert!(large.starts_with("HTTP/1.1 431"), "{large}");
    // More connections than the limit, none of which reads.
    let events = format!("GET /events?token={token}");
    let silent: Vec<_> = (0..40).map(|_| server.send(&events, "")).collect();
    let mut reader = BufReader::new(server.send(&events, "")).lines();
    let look = reader.find(|line| line.as_ref().is_ok_and(|line| line == "event: look"));
    assert!(look.is_some());
    // Connections without the token take no place of one with it.
    let strangers: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    let late = server.answer(&format!("GET /?token={token}"), "");
    assert!(late.starts_with("HTTP/1.1 200"), "{late}");
    let look = reader.find(|line| line.as_ref().is_ok_and(|line| line == "event: look"));
    assert!(look.is_some());
    drop(strangers);
    // The browser learns that the host is stopped, and that it continues.
    let pid = Pid::from_raw(host.child.id().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = reader.find(|line| {
        let line = line.as_deref().unwrap();
        line.starts_with("data: {\"seconds\"") && line.contains("SP9010")
    });
    assert!(stopped.is_some());
    kill(pid, Signal::SIGCONT).unwrap();
    let look = reader.find(|line| line.as_ref().is_ok_and(|line| line == "event: look"));
    assert!(look.is_some());
    drop(silent);
    assert_eq!(host.finish(), "done\n");
}

#[test]
fn only_a_loopback_address_is_served() {
    let host = Host::start();
    for address in ["0.0.0.0:0", "192.0.2.1:80"] {
        let refused = host.run(&["web", "--addr", address]);
        assert_eq!(refused.status, Some(2), "{refused:?}");
        assert!(
            refused.stderr.contains("not a loopback address"),
            "{refused:?}"
        );
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = host.run(&["web", "--addr", &address]);
    assert!(refused.stderr.contains("cannot be used"), "{refused:?}");
    fs::write(host.dir().join("pipe"), "done").unwrap();
}
