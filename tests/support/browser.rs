//! A real browser, headless, driven over WebDriver (w3.org/TR/webdriver2): Chromium and its driver, where they are to be had.

use super::http::post;
use super::process::Service;
use super::skip;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const START: Duration = Duration::from_secs(60);

/// A browser window. Dropping it ends browser and driver.
pub struct Browser {
    driver: Service,
    address: String,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a window of this size in pixels; `None`, after [`skip`], where there is no browser.
    pub fn open(size: (u32, u32), is_dark: bool) -> Option<Browser> {
        let has = |name: &str| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        if !has("chromium") || !has("chromedriver") {
            skip(
                "no Chromium with its driver; on Debian: apt-get install chromium chromium-driver",
            );
            return None;
        }
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let mut driver = Service::spawn(command);
        let line = driver.stdout_line("started successfully on port", START);
        let port = line.trim_end().trim_end_matches('.').rsplit(' ').next();
        let address = format!("127.0.0.1:{}", port.expect("a port"));
        let profile = tempfile::tempdir().expect("a directory");
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--lang=en",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.push(format!("--window-size={},{}", size.0, size.1));
        if is_dark {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let started = post(&address, "POST", "/session", &capabilities.to_string()).json();
        let session = started["value"]["sessionId"].as_str();
        let session = session
            .unwrap_or_else(|| panic!("no session: {started}"))
            .to_owned();
        let browser = Browser {
            driver,
            address,
            session,
            _profile: profile,
        };
        // A window of 500 pixels at least is what the browser gives; a narrower page is made this way.
        browser.command(
            "goog/cdp/execute",
            &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": {
                "width": size.0, "height": size.1, "deviceScaleFactor": 1, "mobile": size.0 < 500,
            }}),
        );
        if is_dark {
            browser.command(
                "goog/cdp/execute",
                &json!({"cmd": "Emulation.setEmulatedMedia", "params": {
                    "features": [{"name": "prefers-color-scheme", "value": "dark"}],
                }}),
            );
        }
        Some(browser)
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{path}", self.session);
        let answer = post(&self.address, "POST", &path, &body.to_string());
        let value = answer.json()["value"].clone();
        assert_eq!(answer.status, 200, "{path}: {value}");
        value
    }

    pub fn go(&self, url: &str) {
        self.command("url", &json!({"url": url}));
    }

    /// What a function's body returns in the page.
    pub fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a person reads in an element; nothing where it is hidden or not there.
    pub fn text(&self, selector: &str) -> String {
        let found = self.run(&format!(
            "const e = document.querySelector({selector:?}); return e && e.checkVisibility() ? e.innerText : ''"
        ));
        found.as_str().unwrap_or_default().to_owned()
    }

    /// How many visible elements there are.
    pub fn count(&self, selector: &str) -> u64 {
        let found = self.run(&format!(
            "return [...document.querySelectorAll({selector:?})].filter(e => e.getBoundingClientRect().height > 0).length"
        ));
        found.as_u64().expect("a number")
    }

    pub fn click(&self, selector: &str) {
        self.run(&format!("document.querySelector({selector:?}).click()"));
    }

    /// Presses keys one after the other, by their names in the DOM.
    pub fn press(&self, keys: &[&str]) {
        let code = |key: &&str| match *key {
            "ArrowLeft" => "\u{E012}".to_owned(),
            "ArrowRight" => "\u{E014}".to_owned(),
            "Tab" => "\u{E004}".to_owned(),
            "Enter" => "\u{E007}".to_owned(),
            text => text.to_owned(),
        };
        let keys: Vec<_> = keys
            .iter()
            .map(code)
            .flat_map(|key| {
                key.chars()
                    .map(|c| {
                        [
                            json!({"type": "keyDown", "value": c}),
                            json!({"type": "keyUp", "value": c}),
                        ]
                    })
                    .collect::<Vec<_>>()
            })
            .flatten()
            .collect();
        self.command(
            "actions",
            &json!({"actions": [{"type": "key", "id": "keys", "actions": keys}]}),
        );
    }

    /// Moves the pointer to a place in the page.
    pub fn point(&self, x: u32, y: u32) {
        let step = json!({"type": "pointerMove", "duration": 0, "x": x, "y": y});
        self.command(
            "actions",
            &json!({"actions": [{"type": "pointer", "id": "mouse", "actions": [step]}]}),
        );
    }

    /// What the page complained about, such as a refusal by the content security policy.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", &json!({"type": "browser"}));
        let lines = log.as_array().expect("a list").iter();
        lines
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// A picture of the whole page, where `HEADCOUNT_TEST_PICTURES` names a folder for it.
    pub fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("HEADCOUNT_TEST_PICTURES") else {
            return;
        };
        let taken = self.command(
            "goog/cdp/execute",
            &json!({"cmd": "Page.captureScreenshot", "params": {
                "captureBeyondViewport": true,
            }}),
        );
        let bytes = from_base64(taken["data"].as_str().expect("a picture"));
        let file = Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(file, bytes).expect("the folder is there");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser with the session. Whatever fails here fails in silence: a test may be panicking.
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.session, self.address
        );
        if let Ok(mut socket) = TcpStream::connect(&self.address) {
            let _ = socket.set_read_timeout(Some(START));
            let _ = socket.write_all(request.as_bytes());
            let _ = socket.read(&mut [0; 512]);
        }
        self.driver.terminate();
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|c| *c != b'=').map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits =
            four.iter().fold(0u32, |bits, d| bits << 6 | u32::from(*d)) << (6 * (4 - four.len()));
        bits.to_be_bytes().into_iter().skip(1).take(four.len() - 1)
    });
    bytes.collect()
}
