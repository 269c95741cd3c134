//! The screen: six large numbers, what came before them, how the service fares, what happened, the keys.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::heard::{Count, Tick};
use super::model::{Beat, Model};
use super::number::{amount, grouped};
use super::{WINDOWS, digits, lines};

/// Lines besides the numbers that every screen has room for: title, sparks (3), service, ledger, news, keys.
const OTHER_LINES: u16 = 8;

/// The same where trends and news have as much as they deserve.
const ROOMY_LINES: u16 = 14;

/// Columns of numbers and the scale of their digits, the most generous first.
const ARRANGEMENTS: [(u16, usize); 4] = [(3, 2), (2, 2), (2, 1), (3, 1)];

/// Whether there are colours, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// False with `NO_COLOR` (no-color.org).
    pub has_color: bool,
}

impl Theme {
    fn color(self, color: Color) -> Style {
        match self.has_color {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn number(self) -> Style {
        self.color(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    fn quiet(self) -> Style {
        self.color(Color::DarkGray)
    }

    fn good(self) -> Style {
        self.color(Color::Green)
    }

    fn warning(self) -> Style {
        self.color(Color::Yellow).add_modifier(Modifier::BOLD)
    }
}

/// Draws the model as it stands at `now_ms`, unix milliseconds. Any size will do; what does not fit is left out.
pub fn draw(frame: &mut Frame<'_>, model: &Model, now_ms: u64, theme: Theme) {
    let area = frame.area();
    let arrangement = arrange(model, area);
    // A blank line below each row of numbers, where trends and news have enough without.
    let (numbers, gap) = match arrangement {
        Some((columns, scale)) => {
            let rows = 6 / columns;
            let gap = u16::from(area.height >= rows * (cell_height(scale) + 1) + ROOMY_LINES);
            (rows * (cell_height(scale) + gap), gap)
        }
        None => (6.min(area.height.saturating_sub(1)), 0),
    };
    // The numbers come first; what is left goes to the service, the ledger, the keys, trends and news, in this order.
    let mut rest = area.height.saturating_sub(numbers + 1);
    let mut line = || {
        let line = rest.min(1);
        rest -= line;
        line
    };
    let [service_line, ledger_line, keys_line] = [line(), line(), line()];
    let trends = match rest {
        ..3 => 0,
        3..6 => rest.saturating_sub(2).max(3),
        _ => (rest / 2).clamp(3, 12),
    };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(numbers),
        Constraint::Length(trends),
        Constraint::Length(service_line),
        Constraint::Length(ledger_line),
        Constraint::Fill(1),
        Constraint::Length(keys_line),
    ]);
    let [title, middle, trends, service, ledger, news, keys] = parts.areas(area);
    draw_title(frame, title, model, theme);
    match arrangement {
        Some((columns, scale)) => {
            draw_large(frame, middle, model, (columns, scale, gap), theme);
        }
        None => draw_small(frame, middle, model, theme),
    }
    draw_trends(frame, trends, model, theme);
    draw_service(frame, service, model, now_ms, theme);
    draw_ledger(frame, ledger, model, theme);
    draw_news(frame, news, model, theme);
    draw_keys(frame, keys, model, theme);
}

/// The line of a number's name, its digits, the line of its interval.
fn cell_height(scale: usize) -> u16 {
    digits::rows(scale) as u16 + 2
}

/// The most generous arrangement that has room for the numbers as they are.
fn arrange(model: &Model, area: Rect) -> Option<(u16, usize)> {
    let texts = counts(model).map(|count| grouped(count.users));
    let fits = |(columns, scale): &(u16, usize)| {
        let widest = texts.iter().map(|text| digits::columns(text, *scale)).max();
        // Two columns between neighbours; the line below the digits needs about 36.
        // Larger digits are worth less than trends and news that can be read.
        let others = if *scale > 1 { ROOMY_LINES } else { OTHER_LINES };
        let needed = widest.unwrap_or(0).max(36) as u16 + 2;
        area.width / columns >= needed
            && area.height >= (6 / columns) * cell_height(*scale) + others
    };
    ARRANGEMENTS.into_iter().find(fits)
}

fn counts(model: &Model) -> [Count; 6] {
    let none = Count {
        users: 0,
        lo: 0,
        hi: 0,
    };
    model.tick().map_or([none; 6], Tick::counts)
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut left = Line::from(vec![
        Span::styled(format!("{}  ", model.title), bold),
        Span::raw(model.place.clone()),
    ]);
    if let Some(tick) = model.tick().filter(|_| model.names_job) {
        left.push_span(Span::raw(format!(", job {}", tick.job)));
    }
    let right = model
        .as_of()
        .map_or_else(String::new, |at| format!("as of {at}"));
    // The time gives way where both do not fit.
    if left.width() + right.len() < area.width.into() {
        let right = Paragraph::new(Span::styled(right, theme.quiet()));
        frame.render_widget(right.alignment(Alignment::Right), area);
    }
    frame.render_widget(left, area);
}

fn draw_large(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    (columns, scale, gap): (u16, usize, u16),
    theme: Theme,
) {
    let height = Constraint::Length(cell_height(scale));
    let rows = Layout::vertical((0..6 / columns).map(|_| height)).spacing(gap);
    let cells: Vec<Rect> = rows
        .split(area)
        .iter()
        .flat_map(|row| {
            let cells = Layout::horizontal((0..columns).map(|_| Constraint::Fill(1))).spacing(2);
            cells.split(*row).to_vec()
        })
        .collect();
    for (i, (count, cell)) in counts(model).into_iter().zip(cells).enumerate() {
        let truth = model.truth().map(|truth| truth[i]);
        let number = match model.tick() {
            Some(_) => grouped(count.users),
            None => "-".to_owned(),
        };
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut text = vec![Line::styled(format!("last {}", WINDOWS[i]), bold)];
        let large = digits::large(&number, scale);
        text.extend(
            large
                .into_iter()
                .map(|line| Line::styled(line, theme.number())),
        );
        text.push(match model.tick() {
            Some(_) => detail(count, truth, theme),
            None => Line::default(),
        });
        frame.render_widget(Paragraph::new(text), cell);
        if let Some(truth) = truth {
            let truth = Line::styled(format!("true {}", grouped(truth)), theme.quiet());
            let first = Rect { height: 1, ..cell };
            frame.render_widget(Paragraph::new(truth).alignment(Alignment::Right), first);
        }
    }
}

/// The interval, and the error where the truth is known.
fn detail(count: Count, truth: Option<u64>, theme: Theme) -> Line<'static> {
    let is_exact = count.is_exact();
    let label = match is_exact {
        true => "exact".to_owned(),
        false => format!("95 %: {}", lines::interval(count)),
    };
    let style = if is_exact { theme.good() } else { Style::new() };
    let mut spans = vec![Span::styled(label, style)];
    if let Some(truth) = truth {
        let is_inside = (count.lo..=count.hi).contains(&truth);
        let style = if is_inside {
            theme.good()
        } else {
            theme.warning()
        };
        let error = format!("  {:+.2} %", 100.0 * count.error(truth));
        spans.push(Span::styled(error, style));
    }
    Line::from(spans)
}

fn draw_small(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let mut text = Vec::new();
    for (i, (window, count)) in WINDOWS.into_iter().zip(counts(model)).enumerate() {
        let truth = model.truth().map(|truth| truth[i]);
        let mut line = Line::from(vec![
            Span::raw(format!("last {window:<7}")),
            Span::styled(format!("{:>12}  ", grouped(count.users)), theme.number()),
        ]);
        line.extend(detail(count, truth, theme));
        if let Some(truth) = truth {
            let truth = format!("  true {}", grouped(truth));
            line.push_span(Span::styled(truth, theme.quiet()));
        }
        text.push(line);
    }
    frame.render_widget(Paragraph::new(text), area);
}

/// One of the charts: what it is about in two lengths, its number now, its value at a beat, and the least value at the top
/// of its bars.
struct Trend {
    names: [&'static str; 2],
    now: Option<u64>,
    value: fn(&Beat) -> u64,
    least_top: u64,
}

impl Trend {
    /// The longest title that fits; a number is never cut.
    fn title(&self, top: u64, width: usize) -> String {
        let [long, short] = self.names;
        let Some(now) = self.now else {
            return format!("{short}  -");
        };
        let (whole, brief) = (grouped(now), amount(now as f64));
        let scale = format!("  (top {})", amount(top as f64).trim_end());
        let titles = [
            format!("{long}  {whole}{scale}"),
            format!("{long}  {whole}"),
            format!("{short}  {whole}"),
            format!("{short}  {brief}"),
        ];
        let fits = |title: &&String| title.chars().count() <= width;
        titles.iter().find(fits).unwrap_or(&brief).clone()
    }
}

fn draw_trends(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let beat = model.beat_now();
    let columns = if area.width < 60 { 1 } else { 3 };
    let cells = Layout::horizontal((0..columns).map(|_| Constraint::Fill(1))).spacing(2);
    let cells = cells.split(area);
    let trends = [
        Trend {
            names: ["users per minute", "users/min"],
            now: model.tick().map(|_| beat.users),
            value: |beat| beat.users,
            least_top: 1,
        },
        Trend {
            names: ["frames/s", "frames/s"],
            now: beat.frames_per_s.map(|rate| rate as u64),
            value: |beat| beat.frames_per_s.unwrap_or(0.0) as u64,
            least_top: 1,
        },
        Trend {
            names: ["lag, frames", "lag"],
            now: beat.lag,
            value: |beat| beat.lag.unwrap_or(0),
            // A handful of frames under way is no lag worth a tall bar.
            least_top: 100,
        },
    ];
    for (cell, trend) in cells.iter().zip(trends) {
        let [head, body] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(*cell);
        let beats = model.beats(body.width.into());
        let values: Vec<u64> = beats.map(trend.value).collect();
        let top = values.iter().copied().max().unwrap_or(0);
        let top = top.max(trend.least_top);
        frame.render_widget(Line::raw(trend.title(top, head.width.into())), head);
        let bars = Sparkline::default().data(values).max(top);
        frame.render_widget(bars.style(theme.color(Color::Blue)), body);
    }
}

fn draw_service(frame: &mut Frame<'_>, area: Rect, model: &Model, now_ms: u64, theme: Theme) {
    if let Some(complaint) = model.complaint(now_ms) {
        frame.render_widget(Line::styled(complaint, theme.warning()), area);
        return;
    }
    let beat = model.beat_now();
    let mut facts = Vec::new();
    if let Some(rate) = beat.frames_per_s {
        facts.push(format!("{}frames/s", amount(rate)));
    }
    if let Some(rate) = beat.bytes_per_s {
        facts.push(format!("{:.1} MB/s", rate / 1e6));
    }
    if let Some(lag) = beat.lag {
        facts.push(format!("lag {}", grouped(lag)));
    }
    let process = model.tick().map(|tick| tick.process).unwrap_or_default();
    if let Some(bytes) = process.resident_bytes {
        facts.push(format!("memory {}B", amount(bytes as f64)));
    }
    if let Some(cores) = beat.cores {
        facts.push(format!("{cores:.2} cores"));
    }
    if let Some(tick) = model.tick() {
        facts.push(format!("tick {}", grouped(tick.tick)));
    }
    frame.render_widget(Line::raw(facts.join("  ")), area);
}

fn draw_ledger(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let Some(tick) = model.tick() else { return };
    let frames = &tick.frames;
    let mut kept = format!(
        "read {} = counted {} + ",
        grouped(frames.read),
        grouped(frames.counted),
    );
    for (what, n) in [
        ("ignored", frames.ignored),
        ("quarantined", frames.quarantined),
        ("pending", frames.pending),
    ] {
        if n > 0 {
            kept += &format!("{what} {} + ", grouped(n));
        }
    }
    kept += "rejected ";
    let style = if frames.rejected.is_empty() && frames.quarantined == 0 {
        Style::new()
    } else {
        theme.warning()
    };
    let room = usize::from(area.width).saturating_sub(kept.len());
    let rejected = Span::styled(lines::rejected(&frames.rejected, room), style);
    frame.render_widget(Line::from(vec![Span::raw(kept), rejected]), area);
}

fn draw_news(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let news = model.news().take(area.height.into()).map(|news| {
        let at = model.time_of_day(news.at_ms) + " ";
        let style = if news.is_warning {
            theme.warning()
        } else {
            Style::new()
        };
        Line::from(vec![
            Span::styled(at, theme.quiet()),
            Span::styled(news.text.clone(), style),
        ])
    });
    frame.render_widget(Paragraph::new(news.collect::<Vec<_>>()), area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let mut spans = Vec::new();
    for key in &model.keys {
        let cap = Style::new().add_modifier(Modifier::REVERSED);
        spans.push(Span::styled(format!(" {} ", key.key), cap));
        spans.push(Span::raw(format!(" {}  ", key.does)));
    }
    let keys = Line::from(spans);
    if let Some(producer) = &model.producer
        && keys.width() + producer.chars().count() < area.width.into()
    {
        let text = Paragraph::new(Span::styled(producer.clone(), theme.quiet()));
        frame.render_widget(text.alignment(Alignment::Right), area);
    }
    frame.render_widget(keys, area);
}
