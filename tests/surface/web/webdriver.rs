//! A browser, by its driver's protocol (W3C `WebDriver`): JSON over HTTP, in the few words that the
//! tests need.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser without a screen, with one tab and a profile of its own. Ends when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: TempDir,
}

impl Browser {
    /// `None` where Chromium and its driver are not installed, unless
    /// `HOUSEKEEPER_REQUIRE_BROWSER=1` demands them.
    pub(crate) fn start() -> Option<Self> {
        let found = installed(&["chromedriver"]).zip(installed(&[
            "chromium",
            "chromium-browser",
            "google-chrome",
        ]));
        let Some((driver, chromium)) = found else {
            let required = env::var("HOUSEKEEPER_REQUIRE_BROWSER").is_ok_and(|value| value == "1");
            assert!(
                !required,
                "HOUSEKEEPER_REQUIRE_BROWSER is set, and there is no Chromium with a chromedriver"
            );
            println!("left out: Chromium and chromedriver are not installed");
            return None;
        };
        let started = (0..ATTEMPTS).find_map(|_| start_driver(&driver));
        let (driver, port) = started.expect("the driver says where it listens");
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            profile,
        };
        browser.open_session(&chromium);
        Some(browser)
    }

    fn open_session(&mut self, chromium: &Path) {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        // No sandbox, as in a container; nothing is looked up in the background.
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": PATIENCE.as_millis() },
        } } });
        let session = self.request("POST", "/session", &wanted);
        let session = session["sessionId"].as_str();
        self.session = session.expect("a session").into();
    }

    pub(crate) fn open(&self, url: &str) {
        self.order("url", &json!({ "url": url }));
    }

    /// Opens a window with this page, and looks at it from now on.
    pub(crate) fn open_window(&self, url: &str) {
        let window = self.order("window/new", &json!({ "type": "window" }));
        self.order("window", &json!({ "handle": window["handle"] }));
        self.open(url);
    }

    /// Looks at each window in turn.
    pub(crate) fn each_window(&self, mut look: impl FnMut(&Self)) {
        let path = format!("/session/{}/window/handles", self.session);
        let handles = self.request("GET", &path, &Value::Null);
        for handle in handles.as_array().expect("windows") {
            self.order("window", &json!({ "handle": handle }));
            look(self);
        }
    }

    /// Evaluates an expression of JavaScript on the page.
    pub(crate) fn look(&self, expression: &str) -> Value {
        let script = json!({ "script": format!("return {expression}"), "args": [] });
        self.order("execute/sync", &script)
    }

    pub(crate) fn text(&self, selector: &str) -> String {
        let text = self.look(&format!(
            "document.querySelector({})?.innerText",
            json!(selector)
        ));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits for a text in the document, which a page has without a script as well.
    pub(crate) fn wait_for_source(&self, text: &str) {
        let began = std::time::Instant::now();
        while !self.source().contains(text) {
            assert!(began.elapsed() < PATIENCE, "no {text} in {}", self.source());
        }
    }

    fn source(&self) -> String {
        let path = format!("/session/{}/source", self.session);
        let source = self.request("GET", &path, &Value::Null);
        source.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression holds on the page.
    pub(crate) fn wait_for(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0];
             const look = () => {{ if ({expression}) done(true); else setTimeout(look, 20); }};
             look();"
        );
        let script = json!({ "script": script, "args": [] });
        let outcome = self.try_order("execute/async", &script);
        if let Err(problem) = outcome {
            panic!(
                "{expression} did not come about: {problem}\n{}",
                self.text("body")
            );
        }
    }

    /// As a mouse does it: what is covered by something else cannot be clicked.
    pub(crate) fn click(&self, selector: &str) {
        let found = json!({ "using": "css selector", "value": selector });
        let found = self.order("element", &found);
        let id = found.as_object().and_then(|found| found.values().next());
        let id = id.and_then(Value::as_str).expect("an element");
        self.order(&format!("element/{id}/click"), &json!({}));
    }

    /// Presses a key and lets it go: `\u{E004}` is tab, `\u{E007}` enter, `\u{E00C}` escape.
    pub(crate) fn press(&self, key: &str) {
        let keys = [
            json!({ "type": "keyDown", "value": key }),
            json!({ "type": "keyUp", "value": key }),
        ];
        let keyboard = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        self.order("actions", &keyboard);
    }

    /// An order of Chromium's own protocol.
    pub(crate) fn chromium(&self, order: &str, parameters: &Value) -> Value {
        let order = json!({ "cmd": order, "params": parameters });
        self.order("goog/cdp/execute", &order)
    }

    /// Sets the size of the page, in pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.chromium("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Warnings and errors that the browser has for who wrote the page, since it was asked last.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.order("se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let loud = entries
            .iter()
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        loud.map(Value::to_string).collect()
    }

    fn order(&self, path: &str, body: &Value) -> Value {
        self.try_order(path, body)
            .unwrap_or_else(|problem| panic!("{path}: {problem}"))
    }

    fn try_order(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let path = format!("/session/{}/{path}", self.session);
        let value = self.request("POST", &path, body);
        if value.get("error").is_some() {
            Err(value)
        } else {
            Ok(value)
        }
    }

    /// One request over a connection of its own.
    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the driver listens");
        stream
            .set_read_timeout(Some(PATIENCE * 3))
            .expect("a limit");
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .expect("is sent");
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).expect("a whole answer");
        let mut answer: Value = serde_json::from_slice(&answer).expect("is JSON");
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            let path = format!("/session/{}", self.session);
            self.request("DELETE", &path, &json!({}));
        }
        // The driver takes its browser along.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The driver with the port that it chose; `None` if it ended at once. It takes a port that is free
/// on `::1`, and ends if another program has the same port on `127.0.0.1`.
fn start_driver(path: &Path) -> Option<(Child, u16)> {
    let mut driver = Command::new(path)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the driver starts");
    let output = driver.stdout.take().expect("is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    let Some(port) = port else {
        let _ = driver.wait();
        return None;
    };
    // Reads and drops its later output, which would otherwise block it.
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

fn installed(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let files = names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// Starts of the driver until one finds a port that is free.
const ATTEMPTS: u32 = 20;

/// A fact on a page comes within this, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
