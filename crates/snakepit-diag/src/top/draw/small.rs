//! The essentials, for small terminals.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};
use snakepit_core::printable::Printable;

use super::super::screen::{Mode, Screen};
use super::{bold, line, of_band, of_severity, panel};

/// Draws a line for each pool, then findings, as many as fit.
pub(super) fn draw(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    if let Mode::Panel(text) = &screen.mode {
        panel::draw(text, area, buffer);
        return;
    }
    let prompts = matches!(screen.mode, Mode::Confirm(_) | Mode::Filter(_));
    let top = u16::from(prompts || screen.notice.is_some());
    let [top, rest] = Layout::vertical([Constraint::Length(top), Constraint::Fill(1)]).areas(area);
    line::foot(screen, top, buffer);
    let mut lines = Vec::new();
    let Some(report) = screen.watch.report() else {
        return Paragraph::new("no report yet").render(rest, buffer);
    };
    let marks = line::marks(screen);
    if !marks.is_empty() {
        lines.push(Line::from(marks));
    }
    for pool in &report.pools {
        let (used, total) = (pool.capacity.used, pool.capacity.total);
        let text = format!(
            "{} {used}/{total} q{}",
            Printable(&pool.pool),
            pool.queue.depth
        );
        lines.push(Line::styled(text, bold().fg(of_band(pool.capacity.band()))));
    }
    for finding in screen.watch.findings() {
        let style = Style::new().fg(of_severity(finding.severity));
        lines.push(Line::styled(Printable(&finding.what).to_string(), style));
    }
    Paragraph::new(lines).render(rest, buffer);
}
