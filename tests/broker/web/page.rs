//! The page in a real browser, as a person sees it.

use super::{Web, serve};
use crate::mock::{batch, cluster};
use crate::support::broker::Broker;
use crate::support::browser::Browser;
use crate::support::wait_until;
use crate::world::{Job, NOON, SOON, seen};
use std::time::Duration;

const DESK: (u32, u32) = (1200, 900);
const PHONE: (u32, u32) = (360, 740);

fn url(address: &str) -> String {
    format!("http://{address}/")
}

fn until_text(
    browser: &Browser,
    selector: &str,
    what: &str,
    is_so: impl Fn(&str) -> bool,
) -> String {
    wait_until(SOON, what, || {
        let text = browser.text(selector);
        is_so(&text).then_some(text)
    })
}

/// A broken policy, script or file would be told here.
fn assert_no_complaints(browser: &Browser) {
    let complaints: Vec<_> = browser
        .complaints()
        .into_iter()
        .filter(|line| !line.contains("ERR_"))
        .collect();
    assert_eq!(complaints, Vec::<String>::new());
}

/// The pointer over a bar gives its numbers; so do the arrow keys.
fn point_and_press(browser: &Browser) {
    let place = browser.run("const r = document.querySelector('#chart rect.window').getBoundingClientRect(); return [r.x + r.width / 2, r.y + 3]");
    let at = |i: usize| place[i].as_f64().expect("a number") as u32;
    browser.point(at(0), at(1));
    let first = until_text(browser, "#reading", "the numbers of a bar", |text| {
        text.contains("2026-01-01 12:00:")
    });
    assert!(
        first.contains(" users, exact, 180 frames, 0 late; final.") || first.contains("final"),
        "{first}"
    );
    browser.run("document.querySelector('#frame').focus()");
    browser.press(&["ArrowRight"]);
    until_text(browser, "#reading", "the next bar", |text| {
        text.contains("2026-01-01 12:01:")
    });
    browser.press(&["ArrowLeft"]);
    until_text(browser, "#reading", "the bar before", |text| {
        text.contains("2026-01-01 12:00:")
    });
}

#[test]
fn numbers_change_and_the_chart_is_drawn() {
    let Some(browser) = Browser::open(DESK, false) else {
        return;
    };
    let (web, frames) = Web::counting("page-live");
    browser.go(&url(&web.address));
    until_text(&browser, "#link", "the page is live", |text| text == "live");
    let day = until_text(&browser, "#number-day", "a number", |text| text != "–");
    assert_eq!(day, web.json("/v1/stats")["users_last_day"].to_string());
    assert_eq!(browser.text("#interval-day"), "exact");
    assert_eq!(browser.text("#trouble"), "");
    let bars = wait_until(SOON, "bars", || {
        let bars = browser.count("#chart rect.window");
        (bars == 4).then_some(bars)
    });
    assert_eq!(
        (
            browser.count("#chart rect.window.final"),
            browser.count("#chart rect.window.provisional")
        ),
        (bars - 1, 1)
    );
    let ledger = browser.text("#ledger");
    assert!(
        ledger.contains("rejected") && ledger.contains("uid_missing 12"),
        "{ledger}"
    );
    browser.picture("desk-light");

    point_and_press(&browser);
    // More users, some of them late: numbers change, a revision is seen.
    let more: Vec<_> = (0..40)
        .map(|n| {
            seen(
                0,
                format!("more {n}"),
                if n < 10 { NOON + 3 } else { NOON + 240 + n },
            )
        })
        .collect();
    web.job.send(&more);
    web.until_read((frames.len() + more.len()) as u64);
    let before: u64 = day.parse().expect("a number");
    until_text(&browser, "#number-day", "more users", |text| {
        text == (before + 40).to_string()
    });
    wait_until(SOON, "a revision", || {
        (browser.count("#chart circle.revision") == 1).then_some(())
    });
    for (period, bars) in [("hour", 1), ("day", 1)] {
        browser.click(&format!("#periods [data-period={period}]"));
        wait_until(SOON, "bars of another period", || {
            (browser.count("#chart rect.window") == bars).then_some(())
        });
    }
    browser.click("summary");
    until_text(&browser, "#table", "the table", |text| {
        text.contains("2026-01-01 00:00")
    });
    assert_no_complaints(&browser);
}

#[test]
fn on_a_phone_in_the_dark_nothing_is_cut_off() {
    let Some(browser) = Browser::open(PHONE, true) else {
        return;
    };
    let (web, _) = Web::counting("page-phone");
    browser.go(&url(&web.address));
    until_text(&browser, "#number-year", "a number", |text| text != "–");
    wait_until(SOON, "bars", || {
        (browser.count("#chart rect.window") == 4).then_some(())
    });
    let width = browser.run("return document.documentElement.scrollWidth");
    assert_eq!(width, PHONE.0, "the page is as wide as the screen");
    let back = browser.run("return getComputedStyle(document.body).backgroundColor");
    assert_eq!(back, "rgb(18, 22, 28)");
    browser.picture("phone-dark");
    // Every control can be reached by key.
    let mut reached = Vec::new();
    for _ in 0..12 {
        browser.press(&["Tab"]);
        let now = browser
            .run("const e = document.activeElement; return e.dataset.period || e.id || e.tagName");
        reached.push(now.as_str().unwrap_or_default().to_owned());
    }
    for control in ["minute", "hour", "day", "frame", "SUMMARY", "A"] {
        assert!(
            reached.iter().any(|name| name == control),
            "{control}: {reached:?}"
        );
    }
    assert_no_complaints(&browser);
}

/// With a real broker, which is stopped and started as brokers are.
#[test]
fn a_broker_that_is_gone_is_told_in_a_sentence_until_it_is_back() {
    let Some(browser) = Browser::open(DESK, false) else {
        return;
    };
    let Some(broker) = Broker::start("page") else {
        return;
    };
    let job = Job::with_topic(broker.address(), "page-broker", 2);
    job.send(&batch(0, 2));
    let (_service, address) = serve(&job, &["--every", "500ms"]);
    browser.go(&url(&address));
    until_text(&browser, "#number-day", "a number", |text| text != "–");
    assert_eq!(browser.text("#trouble"), "");
    broker.stop();
    let limit = Duration::from_secs(90);
    let sentence = wait_until(limit, "the page tells that the broker is gone", || {
        let text = browser.text("#trouble");
        text.contains("out of reach").then_some(text)
    });
    assert!(
        sentence.starts_with("The brokers or the input topic have been out of reach for "),
        "{sentence}"
    );
    browser.picture("broker-gone");
    broker.restart();
    wait_until(limit, "the sentence is gone", || {
        browser.text("#trouble").is_empty().then_some(())
    });
    job.send(&batch(1, 2));
    until_text(&browser, "#ledger", "new frames", |text| {
        text.contains("120")
    });
    assert_no_complaints(&browser);
}

#[test]
fn a_service_that_was_away_is_found_again() {
    let Some(browser) = Browser::open(DESK, false) else {
        return;
    };
    let (_cluster, job) = cluster("page-away", 2);
    job.send(&batch(0, 2));
    let (mut service, address) = serve(&job, &["--every", "200ms"]);
    browser.go(&url(&address));
    until_text(&browser, "#number-day", "a number", |text| text != "–");
    service.signal("KILL");
    service.wait(SOON);
    until_text(
        &browser,
        "#trouble",
        "the page tells that nobody answers",
        |text| text.contains("has not answered for"),
    );
    assert_eq!(browser.text("#link"), "reconnecting");
    job.send(&batch(1, 2));
    let mut command = job.command(&["--every", "200ms"]);
    command.args(["--http", &address]);
    let _again = crate::support::process::Service::spawn(command);
    until_text(&browser, "#link", "the page is live again", |text| {
        text == "live"
    });
    until_text(&browser, "#ledger", "what came meanwhile", |text| {
        text.contains("120")
    });
    // The new one stands by until the one that was killed has been silent for long enough, and the page says so.
    until_text(&browser, "#trouble", "all is well", str::is_empty);
}

#[test]
fn a_page_behind_a_token_asks_for_it() {
    let Some(browser) = Browser::open(DESK, false) else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    std::fs::write(&file, "a-token-of-many-characters\n").expect("a file");
    let (_cluster, job) = cluster("page-token", 2);
    job.send(&batch(0, 2));
    let (_service, address) = serve(
        &job,
        &[
            "--every",
            "200ms",
            "--http-token-file",
            file.to_str().expect("UTF-8"),
        ],
    );
    browser.go(&url(&address));
    until_text(&browser, "#door", "it asks", |text| {
        text.contains("asks for a token")
    });
    assert_eq!(browser.text("#main"), "", "nothing is shown before");
    browser.run("document.querySelector('#token').focus()");
    browser.press(&["wrong", "Enter"]);
    until_text(&browser, "#refused", "it refuses", |text| !text.is_empty());
    browser.run("document.querySelector('#token').focus()");
    browser.press(&["a-token-of-many-characters", "Enter"]);
    until_text(&browser, "#number-day", "a number", |text| {
        text.parse::<u64>().is_ok()
    });
    assert_eq!(browser.text("#door"), "");
}
