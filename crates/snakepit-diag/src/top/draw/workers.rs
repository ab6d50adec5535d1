//! The list of workers with their current calls.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as Cells, Table, Widget};
use snakepit_core::printable::Printable;

use super::super::screen::{Row, Screen};
use super::{ago, faint};
use crate::text::{amount, seconds};
use crate::{Report, WorkerState};

/// Columns: title, width, and the width of the list from which the column is shown.
const COLUMNS: [(&str, Constraint, u16); 11] = [
    ("WORKER", Constraint::Length(12), 0),
    ("STATUS", Constraint::Length(9), 0),
    ("TOOL", Constraint::Fill(2), 0),
    ("AGE", Constraint::Length(7), 0),
    ("LEFT", Constraint::Length(7), 60),
    ("CPU", Constraint::Length(5), 66),
    ("MEMORY", Constraint::Length(8), 74),
    ("CALLS", Constraint::Length(6), 100),
    ("GEN", Constraint::Length(3), 92),
    ("UP", Constraint::Length(6), 106),
    ("TROUBLE", Constraint::Fill(3), 74),
];

/// Draws the workers around the selected one.
pub(super) fn draw(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let Some(report) = screen.watch.report() else {
        return;
    };
    let rows = screen.rows();
    if rows.is_empty() {
        let text = match screen.filter.is_empty() {
            true => "no workers",
            false => "no worker matches the filter",
        };
        Paragraph::new(Line::styled(text, faint())).render(area, buffer);
        return;
    }
    let room = usize::from(area.height.saturating_sub(1));
    let selected = screen.selected(&rows).unwrap_or(0);
    let first = selected
        .saturating_sub(room / 2)
        .min(rows.len().saturating_sub(room));
    let visible = rows.iter().enumerate().skip(first).take(room);
    let wanted = |column: usize| COLUMNS[column].2 <= area.width;
    let cells = visible.map(|(place, row)| {
        let cells = cells(screen, report, row).into_iter().enumerate();
        let cells = cells.filter_map(|(column, cell)| wanted(column).then_some(cell));
        let chosen = place == selected && screen.selected.is_some();
        let style = if chosen {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        Cells::new(cells).style(style)
    });
    let columns = COLUMNS.iter().filter(|(_, _, from)| *from <= area.width);
    let titles = columns
        .clone()
        .map(|(title, ..)| Cell::new(Line::styled(*title, faint())));
    let table = Table::new(cells, columns.clone().map(|(_, width, _)| *width))
        .header(Cells::new(titles))
        .column_spacing(1);
    Widget::render(table, area, buffer);
}

fn cells(screen: &Screen, report: &Report, row: &Row<'_>) -> [Cell<'static>; 11] {
    let worker = row.worker;
    let none = || "-".to_owned();
    let tool = row.call.map_or_else(none, |call| {
        let mut text = Printable(&call.tool).to_string();
        if row.calls > 1 {
            text.push_str(&format!(" +{}", row.calls - 1));
        }
        if call.items > 1 {
            text.push_str(&format!(" ({} items)", call.items));
        }
        text
    });
    let left = row.call.and_then(|call| call.left_seconds);
    let late = left.is_some_and(|left| left < 0.0);
    let left = left.map_or_else(none, |left| match late {
        true => "over".to_owned(),
        false => seconds(left),
    });
    let late = if late {
        Style::new().fg(Color::Red)
    } else {
        Style::new()
    };
    let cpu = screen.watch.cpu(&worker.id);
    [
        Cell::new(Printable(&worker.id).to_string()),
        Cell::new(Line::styled(worker.status.word(), of_state(worker.status))),
        Cell::new(tool),
        Cell::new(row.call.map_or_else(none, |call| seconds(call.age_seconds))),
        Cell::new(Line::styled(left, late)),
        Cell::new(cpu.map_or_else(none, |cpu| format!("{cpu:.0} %"))),
        Cell::new(worker.memory_bytes.map_or_else(none, amount)),
        Cell::new(worker.calls.to_string()),
        Cell::new(worker.generation.to_string()),
        Cell::new(seconds(worker.age_seconds)),
        Cell::new(Line::styled(
            trouble(report, row),
            Style::new().fg(Color::Yellow),
        )),
    ]
}

const fn of_state(state: WorkerState) -> Style {
    match state {
        WorkerState::Busy => Style::new().fg(Color::Cyan),
        WorkerState::Starting | WorkerState::Draining => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}

/// Describes the problems of a worker and the last death in its place.
fn trouble(report: &Report, row: &Row<'_>) -> String {
    let mut text = crate::render::trouble(row.worker);
    if let Some(death) = &row.worker.last_death {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&format!("{} ago {}", ago(report, death.at), death.exit));
    }
    Printable(&text).to_string()
}
