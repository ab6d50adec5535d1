//! Single lines: the first, the last, and the line of the queues.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};
use snakepit_core::printable::Printable;

use super::super::screen::{Mode, Screen};
use super::{bold, faint};
use crate::Report;
use crate::text::seconds;

/// Seconds without an answer after which the view says so.
const SILENT: f64 = 2.0;

/// Draws the first line: the host, and the state of the view.
pub(super) fn head(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let mut spans = vec![Span::styled("snakepit top", bold())];
    if let Some(report) = screen.watch.report() {
        let host = &report.host;
        let program = host.program.rsplit('/').next().unwrap_or_default();
        spans.push(Span::raw(format!(
            "  {}  pid {}  up {}",
            Printable(program),
            host.pid,
            seconds(host.uptime_seconds)
        )));
        if let Some(run) = &host.run {
            let short: String = run.chars().take(8).collect();
            spans.push(Span::styled(
                format!("  run {}", Printable(&short)),
                faint(),
            ));
        }
    } else {
        spans.push(Span::raw("  waiting for the first report"));
    }
    spans.extend(marks(screen));
    Paragraph::new(Line::from(spans)).render(area, buffer);
}

/// Returns the marks for the state of the view: no answer, recording, paused.
pub(super) fn marks(screen: &Screen) -> Vec<Span<'static>> {
    let warn = Style::new().fg(Color::Yellow);
    let mut marks = Vec::new();
    if let Some(silent) = screen.silent.filter(|silent| *silent >= SILENT) {
        let text = format!("  no answer for {}", seconds(silent));
        marks.push(Span::styled(text, Style::new().fg(Color::Red)));
    }
    if screen.replay {
        let text = if screen.ended {
            "  end of the recording"
        } else {
            "  recording"
        };
        marks.push(Span::styled(text, warn));
    }
    if screen.paused {
        marks.push(Span::styled("  paused", warn));
    }
    marks
}

/// Describes the waiting calls by session. `None` if no call waits.
pub(super) fn queues(report: &Report) -> Option<String> {
    let queues = report.pools.iter().flat_map(|pool| &pool.queue_by_session);
    let queues = queues.map(|queue| match &queue.session {
        Some(session) => (Printable(session).to_string(), queue.depth),
        None => ("no session".to_owned(), queue.depth),
    });
    let queues: Vec<String> = queues
        .map(|(session, depth)| format!("{session} {depth}"))
        .collect();
    (!queues.is_empty()).then(|| format!("waiting by session: {}", queues.join(", ")))
}

/// Draws the last line: a question, a notice, or the keys.
pub(super) fn foot(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let line = match &screen.mode {
        Mode::Confirm(action) => Line::from(vec![
            Span::styled(Printable(&action.question()).to_string(), bold()),
            Span::raw("  y yes  any other key no"),
        ]),
        Mode::Filter(_) => Line::from(vec![
            Span::styled(format!("/{}", Printable(&screen.filter)), bold()),
            Span::styled("  enter keep  esc undo", faint()),
        ]),
        _ if screen.notice.is_some() => {
            let notice = screen.notice.as_deref().unwrap_or_default();
            Line::from(Printable(notice).to_string())
        }
        Mode::Panel(_) => Line::styled("↑ ↓ move  any other key back", faint()),
        Mode::Normal => {
            let mut keys = keys(screen.allow_actions, area.width.into());
            if !screen.filter.is_empty() {
                keys.push_str(&format!("  filter: {}", Printable(&screen.filter)));
            }
            Line::styled(keys, faint())
        }
    };
    Paragraph::new(line).render(area, buffer);
}

/// Lists the keys that have room. The last to go are those that change the host or end the view.
fn keys(actions: bool, width: usize) -> String {
    let mut keys = vec!["↑ ↓ worker", "s stack", "f flame", "l logs"];
    if actions {
        keys.extend(["k cancel", "r recycle", "d drain"]);
    }
    keys.extend(["/ filter", "space pause", "q quit"]);
    for spare in ["space pause", "↑ ↓ worker", "/ filter", "l logs", "f flame"] {
        if keys.join("  ").chars().count() <= width {
            break;
        }
        keys.retain(|key| *key != spare);
    }
    keys.join("  ")
}
