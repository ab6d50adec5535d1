//! A text in place of the list: stacks, or the output of a worker.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget};
use snakepit_core::printable::Printable;

use super::super::screen::Panel;
use super::bold;

/// Draws the lines from the panel's first one. If fewer remain than fit, earlier lines fill the
/// area.
pub(super) fn draw(panel: &Panel, area: Rect, buffer: &mut Buffer) {
    let room = usize::from(area.height.saturating_sub(1));
    let first = panel.first.min(panel.lines.len().saturating_sub(room));
    let title = Line::styled(Printable(&panel.title).to_string(), bold());
    let shown = panel.lines[first..].iter().take(room);
    let text = shown.map(|line| Line::from(Printable(line).to_string().replace('\t', "    ")));
    let lines: Vec<_> = std::iter::once(title).chain(text).collect();
    Paragraph::new(lines).render(area, buffer);
}
