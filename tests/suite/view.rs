//! What a live view makes of published records: the screen at any size, the lines, the picture.

use headcount::view::heard::{Tick, Window};
use headcount::view::model::{Key, Model};
use headcount::view::screen::{Theme, draw};
use headcount::view::{lines, picture};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use serde_json::json;

const NOW_MS: u64 = 1_795_412_640_000;
const COLORS: Theme = Theme { has_color: true };

/// A tick as a service would publish it, `number` ticks after its start.
fn tick(number: u64, users: [u64; 6]) -> Vec<u8> {
    let [minute, hour, day, week, month, year] = users;
    let interval = |n: u64| {
        if n <= 5_000 {
            [n, n]
        } else {
            [n - n / 200, n + n / 200]
        }
    };
    json!({
        "users_last_minute": minute, "users_last_hour": hour, "users_last_day": day,
        "users_last_week": week, "users_last_month": month, "users_last_year": year,
        "schema": "headcount.stats/1", "job": "users", "as_of": 1_795_412_633, "since": 1_795_000_000,
        "watermark": 1_795_412_627, "emitted_at": "2026-11-23T05:43:55.000Z", "epoch": 7, "tick": number,
        "intervals": {"last_minute": interval(minute), "last_hour": interval(hour), "last_day": interval(day),
            "last_week": interval(week), "last_month": interval(month), "last_year": interval(year)},
        "frames": {"read": 10_000 * number, "counted": 10_000 * number - 31, "late": 1, "expired": {}, "ignored": 0,
            "rejected": {"json": 20, "uid_missing": 11}},
        "coalesced": {"ticks": 0, "provisionals": 0},
        "process": {"uptime_ms": 5_000 * number, "cpu_ms": 1_250 * number, "resident_bytes": 98_000_000,
            "read_bytes": 20_480_000 * number, "lag": 1_234},
        "precision": 17, "tz": "Europe/Zurich", "source": {"topic": "users", "offsets": {"0": 5}}
    })
    .to_string()
    .into_bytes()
}

fn model(users: [u64; 6], truth: Option<[u64; 6]>) -> Model {
    let keys = [Key {
        key: 'q',
        does: "quit",
    }];
    let mut model = Model::new("headcount top", "stats on localhost:9092", &keys);
    for number in 1..=3 {
        let tick = Tick::parse(&tick(number, users)).unwrap();
        model.take_tick(tick, truth, NOW_MS - 15_000 + 5_000 * number);
    }
    model
}

const FEW: [u64; 6] = [812, 4_021, 9_911, 40_211, 71_002, 99_120];
const MANY: [u64; 6] = [
    81_233,
    402_117,
    1_203_344,
    2_710_021,
    9_120_334,
    123_456_789,
];

fn screen(model: &Model, (columns, rows): (u16, u16), theme: Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal
        .draw(|frame| draw(frame, model, NOW_MS, theme))
        .unwrap();
    terminal.backend().buffer().clone()
}

fn text(screen: &Buffer) -> String {
    let rows = screen.content.chunks(screen.area.width.into());
    let row = |cells: &[ratatui::buffer::Cell]| {
        cells.iter().map(|cell| cell.symbol()).collect::<String>()
    };
    rows.map(|cells| row(cells).trim_end().to_owned() + "\n")
        .collect()
}

#[test]
fn a_small_terminal_shows_every_number_with_its_interval_truth_and_error() {
    let truth = [812, 4_021, 9_900, 40_000, 71_100, 99_000];
    let shown = text(&screen(&model(FEW, Some(truth)), (80, 24), COLORS));
    for expected in [
        "headcount top  stats on localhost:9092",
        "last minute",
        "last hour",
        "last day",
        "last week",
        "last month",
        "last year",
        "true 812",
        "true 9,900",
        "true 99,000",
        "exact  +0.00 %",
        "95 %: 40,010 to 40,412  +0.53 %",
        "95 %: 70,647 to 71,357  -0.14 %",
        "2,000 frames/s  4.1 MB/s  lag 1,234  memory 98 MB  0.25 cores  tick 3",
        "read 30,000 = counted 29,969 + rejected 31 (json 20, uid_missing 11)",
        " q  quit",
    ] {
        assert!(shown.contains(expected), "no {expected:?} in:\n{shown}");
    }
    // 812 in large digits.
    assert!(shown.contains("█▀█ ▄█  ▀▀█"), "{shown}");
    assert!(
        !shown.lines().any(|line| line.chars().count() > 80),
        "{shown}"
    );
}

#[test]
fn a_large_terminal_shows_larger_digits_and_the_time() {
    let shown = text(&screen(&model(FEW, None), (200, 60), COLORS));
    assert!(
        shown.contains("as of 2026-11-23 06:43:53 Europe/Zurich"),
        "{shown}"
    );
    // The 1 of 812, twice as large.
    assert!(shown.contains("  ██  "), "{shown}");
    assert!(!shown.contains("true"), "{shown}");
    let one_row = shown
        .lines()
        .find(|line| line.contains("last minute"))
        .unwrap();
    assert!(
        one_row.contains("last hour") && one_row.contains("last day"),
        "{shown}"
    );
}

#[test]
fn numbers_that_are_too_wide_for_large_digits_stand_in_small_ones() {
    let shown = text(&screen(&model(MANY, Some(MANY)), (80, 16), COLORS));
    assert!(
        shown.contains("last year    123,456,789  95 %: 122,839,506 to 124,074,072  +0.00 %"),
        "{shown}"
    );
    assert!(shown.contains("last minute       81,233"), "{shown}");
}

#[test]
fn a_number_over_a_chart_is_never_cut() {
    for (users, size, expected) in [
        (12_350_678, (80, 24), "users/min  12,350,678"),
        (12_350_678, (60, 37), "users/min  12 M"),
        (88_312, (60, 37), "users/min  88,312"),
        (88_312, (80, 24), "users per minute  88,312"),
        (812, (200, 60), "users per minute  812  (top 812)"),
    ] {
        let shown = text(&screen(&model([users; 6], None), size, COLORS));
        assert!(
            shown.contains(expected),
            "no {expected:?} at {size:?} in:\n{shown}"
        );
    }
}

#[test]
fn a_tiny_terminal_keeps_the_six_numbers() {
    for size in [(40, 12), (40, 8), (133, 7)] {
        let shown = text(&screen(&model(FEW, None), size, COLORS));
        for expected in ["812", "4,021", "9,911", "40,211", "71,002", "99,120"] {
            assert!(
                shown.contains(expected),
                "no {expected} at {size:?} in:\n{shown}"
            );
        }
    }
    let shown = text(&screen(&model(FEW, None), (40, 10), COLORS));
    assert!(
        shown.contains("read 30,000") && shown.contains(" q  quit"),
        "{shown}"
    );
}

/// Whoever shrinks a window to a corner gets less, not a panic.
#[test]
fn any_size_will_do() {
    let models = [
        Model::new("headcount top", "stats on localhost:9092", &[]),
        model(FEW, None),
        model(MANY, Some(FEW)),
    ];
    for columns in (1..30).chain([39, 40, 59, 60, 79, 80, 121, 250]) {
        for rows in (1..26).chain([30, 60, 100]) {
            for model in &models {
                let _ = screen(model, (columns, rows), COLORS);
            }
        }
    }
}

#[test]
fn without_colours_there_is_not_one() {
    let colors = |theme| {
        let shown = screen(&model(FEW, Some(MANY)), (100, 40), theme);
        let cells = shown.content.iter();
        cells
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
            .count()
    };
    assert_eq!(colors(Theme { has_color: false }), 0);
    assert!(colors(COLORS) > 100);
}

#[test]
fn what_is_wrong_stands_where_the_rates_were() {
    let mut model = Model::new("headcount top", "stats on localhost:9092", &[]);
    let says = |model: &Model, expected: &str| {
        let shown = text(&screen(model, (80, 24), COLORS));
        assert!(shown.contains(expected), "no {expected:?} in:\n{shown}");
    };
    says(&model, "waiting for the first tick");
    model.trouble = Some("the brokers do not answer".to_owned());
    says(&model, "the brokers do not answer");
    let heard = |model: &mut Model, number, at_ms| {
        model.take_tick(Tick::parse(&tick(number, FEW)).unwrap(), None, at_ms);
    };
    heard(&mut model, 1, NOW_MS - 40_000);
    heard(&mut model, 2, NOW_MS - 35_000);
    says(&model, "no tick for 35 s: is the service running?");
    heard(&mut model, 3, NOW_MS - 16_000);
    // Three beats of 5 s and a second are not over yet.
    says(&model, "2,000 frames/s");
}

#[test]
fn finals_and_restarts_are_news() {
    let window = |period: &str, start: &str, state: &str| {
        let record = json!({"window": period, "start": start, "users": 28_412, "frames": 30_001, "state": state,
            "schema": "headcount.window/1", "job": "users"});
        Window::parse(record.to_string().as_bytes()).unwrap()
    };
    let mut model = model(FEW, None);
    model.take_window(
        &window("minute", "2026-11-24T11:59:00+01:00", "provisional"),
        NOW_MS,
    );
    assert_eq!(model.news().count(), 0);
    for (period, spoken) in [
        ("minute", "the minute 11:59 of 2026-11-24"),
        ("hour", "the hour from 11:59 of 2026-11-24"),
        ("day", "the day 2026-11-24"),
        ("week", "the week from 2026-11-24"),
        ("month", "the month 2026-11"),
        ("year", "the year 2026"),
    ] {
        model.take_window(
            &window(period, "2026-11-24T11:59:00+01:00", "final"),
            NOW_MS,
        );
        let news = &model.news().next().unwrap().text;
        assert_eq!(
            *news,
            format!("{spoken} became final: 28,412 users in 30,001 frames")
        );
    }
    // On its own day a time is enough; the day is that of the job's zone, in which it is the 23rd.
    let today = window("minute", "2026-11-23T06:43:00+01:00", "final");
    model.take_window(&today, NOW_MS);
    let news = &model.news().next().unwrap().text;
    assert!(news.starts_with("the minute 06:43 became"), "{news}");
    let restarted = String::from_utf8(tick(1, FEW))
        .unwrap()
        .replace("\"epoch\":7", "\"epoch\":8");
    model.take_tick(Tick::parse(restarted.as_bytes()).unwrap(), None, NOW_MS);
    assert_eq!(
        model.news().next().unwrap().text,
        "the service was started anew"
    );
    assert_eq!(model.beat_now().frames_per_s, None);
}

#[test]
fn a_view_remembers_a_bounded_past() {
    let mut model = Model::new("", "", &[]);
    for number in 1..5_000 {
        model.take_tick(Tick::parse(&tick(number, FEW)).unwrap(), None, number);
        model.tell(number, number.to_string());
    }
    assert_eq!(
        model.beats(usize::MAX).count(),
        headcount::limits::VIEW_BEATS_MAX
    );
    assert_eq!(model.news().count(), headcount::limits::VIEW_NEWS_MAX);
    assert_eq!(model.news().next().unwrap().text, "4999");
}

#[test]
fn a_tick_of_an_older_service_does_without_what_it_does_not_tell() {
    let mut old: serde_json::Value = serde_json::from_slice(&tick(1, FEW)).unwrap();
    old.as_object_mut().unwrap().remove("process");
    let old = Tick::parse(old.to_string().as_bytes()).unwrap();
    let mut model = Model::new("headcount top", "", &[]);
    model.take_tick(old, None, NOW_MS);
    let shown = text(&screen(&model, (80, 24), COLORS));
    assert!(shown.contains("lag  -"), "{shown}");
    assert!(shown.contains("tick 1"), "{shown}");
}

#[test]
fn what_is_no_tick_is_told_why() {
    for (payload, words) in [
        (&b"rubbish"[..], "expected value"),
        (b"{}", "missing field"),
        (
            &tick(1, FEW)
                .iter()
                .map(|b| if *b == b'1' { b'9' } else { *b })
                .collect::<Vec<_>>(),
            "headcount.stats/9",
        ),
    ] {
        let why = Tick::parse(payload).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}

/// Anybody may publish to a topic; a terminal that showed it raw would obey.
#[test]
fn control_characters_of_a_topic_do_not_reach_a_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{9b}2J";
    let mut record: serde_json::Value = serde_json::from_slice(&tick(3, FEW)).unwrap();
    record["job"] = evil.into();
    record["tz"] = evil.into();
    record["source"]["topic"] = evil.into();
    record["frames"]["rejected"] = json!({evil: 7});
    let mut model = Model::new("headcount top", "", &[]);
    let heard = Tick::parse(record.to_string().as_bytes()).unwrap();
    assert!(!heard.job.chars().any(char::is_control));
    model.take_tick(heard, None, NOW_MS);
    let window = json!({"window": evil, "start": evil, "users": 1, "frames": 1, "state": "final",
        "schema": "headcount.window/1", "job": evil});
    let window = Window::parse(window.to_string().as_bytes()).unwrap();
    model.take_window(&window, NOW_MS);
    let mut out = Vec::new();
    lines::tick(&model, &mut out).unwrap();
    lines::news(&model, &mut out).unwrap();
    let lines = String::from_utf8(out).unwrap();
    let screen = text(&screen(&model, (200, 60), COLORS));
    for shown in [lines, screen] {
        let control = |c: &char| c.is_control() && *c != '\n';
        assert_eq!(shown.chars().find(control), None, "{shown:?}");
        assert!(shown.contains("owned"), "{shown:?}");
    }
    for record in [json!({"schema": evil}), json!({"job": evil, "schema": 5})] {
        let why = Tick::parse(record.to_string().as_bytes()).unwrap_err();
        assert!(!why.chars().any(char::is_control), "{why:?}");
    }
    let long = tick(1, FEW);
    let long = String::from_utf8(long).unwrap().replace(
        "\"job\":\"users\"",
        &format!("\"job\":\"{}\"", "x".repeat(1_000_000)),
    );
    assert!(Tick::parse(long.as_bytes()).unwrap().job.len() < 1_000);
}

/// Numbers that no service would publish: the view shows nonsense then, and goes on.
#[test]
fn absurd_numbers_are_shown_too() {
    let with = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut record: serde_json::Value = serde_json::from_slice(&tick(4, FEW)).unwrap();
        edit(&mut record);
        Tick::parse(record.to_string().as_bytes()).unwrap()
    };
    const MOST: u64 = u64::MAX;
    let edits: [&dyn Fn(&mut serde_json::Value); 8] = [
        &|tick| {
            tick["process"] = json!({"uptime_ms": MOST, "cpu_ms": MOST, "resident_bytes": MOST,
                "read_bytes": MOST, "lag": MOST});
        },
        &|tick| tick["process"] = json!({"uptime_ms": 0, "lag": 0}),
        &|tick| {
            let rejected = json!({"json": MOST, "uid": MOST});
            tick["frames"] = json!({"read": MOST, "counted": 0, "late": 0, "ignored": MOST, "rejected": rejected});
        },
        &|tick| {
            let reasons = (0..5_000)
                .map(|n| (format!("reason {n}"), 1.into()))
                .collect();
            tick["frames"]["rejected"] = serde_json::Value::Object(reasons);
        },
        &|tick| {
            tick["users_last_minute"] = MOST.into();
            tick["intervals"] = json!({"last_minute": [MOST, 0], "last_year": [7, 3]});
        },
        &|tick| tick["users_last_year"] = json!(-1),
        &|tick| tick["as_of"] = i64::MIN.into(),
        &|tick| tick["tick"] = 0.into(),
    ];
    let mut model = model(FEW, None);
    for edit in edits {
        for at_ms in [0, NOW_MS, MOST] {
            model.take_tick(with(edit), Some([0, 1, MOST, 0, MOST, 7]), at_ms);
            model.warn(at_ms, "something".to_owned());
            for size in [(1, 1), (40, 9), (80, 24), (250, 100)] {
                let _ = picture::svg(&screen(&model, size, COLORS));
            }
            let mut out = Vec::new();
            lines::tick(&model, &mut out).unwrap();
            assert!(out.len() < 4_000, "{}", String::from_utf8_lossy(&out));
        }
    }
}

#[test]
fn reasons_that_do_not_fit_are_summed_up() {
    for (columns, expected) in [
        (69, "rejected 31 (json 20, uid_missing 11)\n"),
        (64, "rejected 31 (json 20, others 11)\n"),
        (48, "rejected 31\n"),
    ] {
        let shown = text(&screen(&model(FEW, None), (columns, 24), COLORS));
        assert!(
            shown.contains(expected),
            "no {expected:?} at {columns} columns in:\n{shown}"
        );
    }
}

#[test]
fn lines_have_the_truth_only_where_it_is_known() {
    let lines_of = |model: &Model| {
        let mut out = Vec::new();
        lines::tick(model, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let shown = lines_of(&model(FEW, None));
    let head = "tick 3 of job users, as of 2026-11-23 06:43:53 Europe/Zurich\n  29,969 frames counted, 2,000 frames/s, lag 1,234\n";
    assert!(shown.starts_with(head), "{shown}");
    assert!(
        shown.contains("  year          99,120   98,625 to 99,615\n"),
        "{shown}"
    );
    assert!(
        shown.contains("  rejected 31 (json 20, uid_missing 11)\n"),
        "{shown}"
    );
    let shown = lines_of(&model(
        FEW,
        Some([812, 4_021, 9_911, 40_211, 71_002, 99_000]),
    ));
    assert!(
        shown.contains("  year          99,120      99,000   +0.12 %   98,625 to 99,615\n"),
        "{shown}"
    );
}

#[test]
fn a_picture_holds_the_text_of_the_screen() {
    let svg = picture::svg(&screen(&model(FEW, Some(FEW)), (100, 32), COLORS));
    for expected in [
        "<svg xmlns=",
        "headcount top",
        "read 30,000 = counted 29,969",
        "</svg>\n",
    ] {
        assert!(svg.contains(expected), "no {expected:?} in:\n{svg}");
    }
    assert!(
        !svg.contains('█') && !svg.contains('▀'),
        "blocks are rectangles, not letters"
    );
    // Every element is closed: an XML reader would refuse the picture otherwise.
    assert_eq!(
        svg.matches("<text ").count(),
        svg.matches("</text>").count()
    );
}

#[test]
fn frames_whose_time_is_doubted_stand_in_the_ledger() {
    let mut record: serde_json::Value = serde_json::from_slice(&tick(4, FEW)).unwrap();
    record["frames"] = json!({"read": 50, "counted": 40, "late": 0, "ignored": 2, "quarantined": 4,
        "quarantined_by": {"ahead": 4}, "pending": 3, "rejected": {"json": 1}});
    let mut model = model(FEW, None);
    model.take_tick(
        Tick::parse(record.to_string().as_bytes()).unwrap(),
        None,
        NOW_MS,
    );
    let shown = text(&screen(&model, (100, 24), COLORS));
    let ledger =
        "read 50 = counted 40 + ignored 2 + quarantined 4 + pending 3 + rejected 1 (json 1)";
    assert!(shown.contains(ledger), "{shown}");
    let mut out = Vec::new();
    lines::tick(&model, &mut out).unwrap();
    let lines = String::from_utf8(out).unwrap();
    assert!(lines.contains("  quarantined 4\n  pending 3\n"), "{lines}");
}
