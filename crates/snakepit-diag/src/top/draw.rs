//! The screen drawn as cells of a terminal: a pure function.

mod findings;
mod line;
mod panel;
mod pools;
mod small;
mod workers;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};

use super::screen::{Mode, Screen};
use crate::{Band, Report, Severity};

/// Columns and rows below which only the essentials are drawn.
const SMALL: (u16, u16) = (50, 10);

/// Columns from which findings have a column of their own.
const WIDE: u16 = 110;

/// Maximum number of pools that have a line.
const POOLS: usize = 6;

/// Draws the screen into an area of any size.
pub(super) fn draw(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return;
    }
    if area.width < SMALL.0 || area.height < SMALL.1 {
        small::draw(screen, area, buffer);
    } else {
        large(screen, area, buffer);
    }
    if !screen.colour {
        for position in area.positions() {
            let cell = &mut buffer[position];
            cell.set_fg(Color::Reset).set_bg(Color::Reset);
        }
    }
}

fn large(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let report = screen.watch.report();
    let n_pools = report.map_or(0, |report| report.pools.len());
    let pool_rows = n_pools.min(POOLS) + usize::from(n_pools > POOLS);
    let queues = report.map_or(0, |report| u16::from(line::queues(report).is_some()));
    let wide = area.width >= WIDE;
    let narrow_findings = match screen.watch.findings().len() {
        0 => 0,
        n if !wide => (n as u16 * 2 + 1).min(area.height / 3),
        _ => 0,
    };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1 + pool_rows as u16),
        Constraint::Length(queues),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(narrow_findings),
        Constraint::Length(1),
    ]);
    let [head, pools, by_session, _, middle, below, foot] = parts.areas(area);
    line::head(screen, head, buffer);
    if let Some(report) = report {
        pools::draw(screen, report, POOLS, pools, buffer);
        if let Some(text) = line::queues(report) {
            Paragraph::new(Line::from(text)).render(by_session, buffer);
        }
    }
    let columns = Layout::horizontal([
        Constraint::Fill(1),
        Constraint::Length(if wide { area.width / 3 } else { 0 }),
    ])
    .spacing(if wide { 2 } else { 0 });
    let [list, beside] = columns.areas(middle);
    match &screen.mode {
        Mode::Panel(panel) => panel::draw(panel, middle, buffer),
        _ => {
            workers::draw(screen, list, buffer);
            if wide {
                findings::draw(screen, beside, buffer);
            }
        }
    }
    findings::draw(screen, below, buffer);
    line::foot(screen, foot, buffer);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

const fn of_band(band: Band) -> Color {
    match band {
        Band::Low => Color::Green,
        Band::Moderate => Color::Cyan,
        Band::High => Color::Yellow,
        Band::Critical => Color::Red,
    }
}

const fn of_severity(severity: Severity) -> Color {
    match severity {
        Severity::Advice => Color::Cyan,
        Severity::Warning => Color::Yellow,
        Severity::Critical => Color::Red,
    }
}

/// Formats the time between a moment and the report.
fn ago(report: &Report, at: f64) -> String {
    crate::text::seconds(report.at - at)
}

/// Returns the number of rows in which a screen with all workers and findings fits.
fn rows(screen: &Screen, width: u16) -> u16 {
    let workers = screen.rows().len();
    let findings = screen.watch.findings();
    let columns = usize::from(width / 3).saturating_sub(3).max(10);
    let lines = findings.iter().map(|finding| {
        // Lines break at words and are not full: one more line for each text.
        4 + finding.what.len() / columns + finding.action.len() / columns
    });
    let middle = (workers + 1).max(lines.sum::<usize>() + 1);
    u16::try_from(middle + POOLS + 8).unwrap_or(u16::MAX)
}

/// Renders the whole screen as lines of text, without the line about keys.
pub(super) fn text(screen: &Screen, width: u16) -> String {
    // Older versions of ratatui allow a buffer of 65,535 cells: rows are bounded.
    let area = Rect::new(0, 0, width.max(SMALL.0), rows(screen, width).max(SMALL.1));
    let mut buffer = Buffer::empty(area);
    draw(screen, area, &mut buffer);
    let mut lines: Vec<String> = (0..area.height)
        .map(|y| {
            let cells = (0..area.width).map(|x| buffer[(x, y)].symbol());
            cells.collect::<String>().trim_end().to_owned()
        })
        .collect();
    // The last line is about keys, which have no use here.
    lines.pop();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n")
}
