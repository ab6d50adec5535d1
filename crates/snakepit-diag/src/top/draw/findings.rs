//! The findings, the most severe first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};
use snakepit_core::printable::Printable;

use super::super::screen::Screen;
use super::{faint, of_severity};
use crate::text::count;

/// Draws as many findings as fit.
pub(super) fn draw(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let findings = screen.watch.findings();
    let title = match findings.len() {
        0 => "NO FINDINGS".to_owned(),
        n => count(n, "FINDING", "FINDINGS"),
    };
    let mut lines = vec![Line::styled(title, faint())];
    for finding in findings {
        let style = Style::new().fg(of_severity(finding.severity));
        let mark = Span::styled(finding.severity.word(), style.add_modifier(Modifier::BOLD));
        let what = Span::raw(format!(" {}", Printable(&finding.what)));
        lines.push(Line::from(vec![mark, what]));
        lines.push(Line::styled(
            format!("→ {}", Printable(&finding.action)),
            faint(),
        ));
    }
    Paragraph::new(lines)
        .wrap(Wrap { trim: true })
        .render(area, buffer);
}
