//! A real headless browser, driven through its DevTools protocol over two pipes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value as Json, json};

use crate::support::root;

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// Events, which it sends without a request.
    events: Vec<Json>,
    _home: tempfile::TempDir,
}

impl Browser {
    /// Starts the browser. `None` if there is none and none can be installed; with `CI=true` that
    /// is a failure.
    pub(crate) fn start() -> Option<Self> {
        let installed = Command::new(root().join(".ci/chromium")).output().unwrap();
        if !installed.status.success() {
            let reason = String::from_utf8_lossy(&installed.stderr).into_owned();
            let must = std::env::var_os("CI").is_some_and(|ci| ci == "true");
            assert!(!must, "{reason}");
            // Bypasses the output capture of the test harness.
            let _ = std::io::stderr().write_fmt(format_args!("skipped: {reason}\n"));
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        // The browser uses descriptors 3 and 4 as its ends of the pipes.
        command.args([
            "-c",
            "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            "sh",
        ]);
        command.args([
            "chromium",
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
        ]);
        command.args([
            "--remote-debugging-pipe",
            "--no-first-run",
            "--disable-extensions",
        ]);
        command.args(["--disable-background-networking", "--disable-dev-shm-usage"]);
        command.args([
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            "--lang=en",
        ]);
        command.arg(format!("--user-data-dir={}", home.path().display()));
        command.arg("about:blank");
        command.env("HOME", home.path());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut browser = Self {
            to: child.stdin.take().unwrap(),
            from: BufReader::new(child.stdout.take().unwrap()),
            child,
            session: None,
            last: 0,
            events: Vec::new(),
            _home: home,
        };
        let page = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", &attach);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    fn message(&mut self) -> Json {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Sends a command and returns the reply, which may be an error.
    fn try_ask(&mut self, method: &str, params: &Json) -> Json {
        self.last += 1;
        let mut request = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let message = self.message();
            if message["id"] == self.last {
                return message;
            }
            self.events.push(message);
        }
    }

    /// Sends a command and returns its result.
    pub(crate) fn ask(&mut self, method: &str, params: &Json) -> Json {
        let message = self.try_ask(method, params);
        assert!(message["error"].is_null(), "{method}: {message}");
        message["result"].clone()
    }

    /// Opens an address and waits until the page is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        self.ask("Page.navigate", &json!({ "url": url }));
        self.until("document.readyState === 'complete' && document.documentElement.dataset.ready === 'true'");
    }

    /// Evaluates an expression in the page.
    pub(crate) fn eval(&mut self, expression: &str) -> Json {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let found = self.ask("Runtime.evaluate", &params);
        assert!(found["exceptionDetails"].is_null(), "{expression}: {found}");
        found["result"]["value"].clone()
    }

    /// Waits until an expression is true; it is evaluated in each frame.
    pub(crate) fn until(&mut self, expression: &str) {
        let wait = format!(
            "new Promise((done) => {{ const look = () => (({expression}) ? done(true) : requestAnimationFrame(look)); look(); }})"
        );
        let params = json!({ "expression": wait, "awaitPromise": true, "returnByValue": true });
        // The promise is lost if the page is replaced.
        while self.try_ask("Runtime.evaluate", &params)["result"]["result"]["value"] != true {}
    }

    /// Presses a key, as a keyboard does.
    pub(crate) fn key(&mut self, key: &str) {
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let text = match key {
            "Enter" => Some("\r"),
            key if key.chars().count() == 1 => Some(key),
            _ => None,
        };
        let mut params =
            json!({ "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code });
        if let Some(text) = text {
            params["text"] = json!(text);
        }
        self.ask("Input.dispatchKeyEvent", &params);
        params["type"] = json!("keyUp");
        self.ask("Input.dispatchKeyEvent", &params);
    }

    /// Sets the width of the page, and its light or dark colour scheme.
    pub(crate) fn look(&mut self, width: u32, dark: bool) {
        let height = if width < 600 { 812 } else { 900 };
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", &media);
        // Two frames: the first applies the change, the second draws it.
        self.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
    }

    /// Saves the whole page as an image.
    pub(crate) fn shoot(&mut self, file: &Path) {
        self.eval("window.scrollTo(0, 0)");
        let size = self
            .eval("[document.documentElement.clientWidth, document.documentElement.scrollHeight]");
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let image = self.ask("Page.captureScreenshot", &params);
        let engine = base64::engine::general_purpose::STANDARD;
        let bytes = engine.decode(image["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// Returns the addresses that the page has requested.
    pub(crate) fn requests(&self) -> Vec<String> {
        let sent = self
            .events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        let urls = sent.filter_map(|event| event["params"]["request"]["url"].as_str());
        urls.map(str::to_owned).collect()
    }

    /// Returns the errors of the page: exceptions, and violations of its policy.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.eval("0");
        let wrong = self
            .events
            .iter()
            .filter(|event| match event["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => true,
                Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
                _ => false,
            });
        wrong.map(Json::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
