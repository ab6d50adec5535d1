//! One line per pool: its slots as a gauge, its queue and its rate as small charts.

use std::collections::VecDeque;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Paragraph, Sparkline, Widget};
use snakepit_core::printable::Printable;

use super::super::screen::Screen;
use super::{ago, bold, faint, of_band};
use crate::text::{count, micros};
use crate::{PoolReport, Report};

const TITLES: [&str; 8] = [
    "POOL",
    "WORKERS",
    "SLOTS",
    "QUEUE",
    "",
    "CALLS",
    "",
    "99 %  LAST DEATH",
];

fn columns(area: Rect) -> [Rect; 8] {
    let [
        name,
        workers,
        gauge,
        queue,
        queue_chart,
        rate,
        rate_chart,
        rest,
    ] = Layout::horizontal([
        Constraint::Length(14),
        Constraint::Length(9),
        Constraint::Length(16),
        Constraint::Length(6),
        Constraint::Max(12),
        Constraint::Length(8),
        Constraint::Max(12),
        Constraint::Fill(1),
    ])
    .spacing(1)
    .areas(area);
    [
        name,
        workers,
        gauge,
        queue,
        queue_chart,
        rate,
        rate_chart,
        rest,
    ]
}

/// Draws the titles and, below them, as many pools as fit.
pub(super) fn draw(screen: &Screen, report: &Report, most: usize, area: Rect, buffer: &mut Buffer) {
    let mut rows = area.rows();
    let Some(titles) = rows.next() else { return };
    for (title, column) in TITLES.iter().zip(columns(titles)) {
        Paragraph::new(Line::styled(*title, faint())).render(column, buffer);
    }
    for (pool, row) in report.pools.iter().take(most).zip(&mut rows) {
        pool_line(screen, report, pool, row, buffer);
    }
    if let (Some(row), Some(more)) = (rows.next(), report.pools.len().checked_sub(most)) {
        Paragraph::new(format!("and {}", count(more, "more pool", "more pools")))
            .render(row, buffer);
    }
}

fn pool_line(screen: &Screen, report: &Report, pool: &PoolReport, row: Rect, buffer: &mut Buffer) {
    let [
        name,
        workers,
        gauge,
        queue,
        queue_chart,
        rate,
        rate_chart,
        rest,
    ] = columns(row);
    Paragraph::new(Line::styled(Printable(&pool.pool).to_string(), bold())).render(name, buffer);
    let well = pool.state == "ready" && pool.worker_count == pool.target;
    let workers_text = match pool.state.as_str() {
        "ready" | "starting" => format!("{}/{}", pool.worker_count, pool.target),
        state => Printable(state).to_string(),
    };
    let style = if well {
        Style::new()
    } else {
        Style::new().fg(Color::Yellow)
    };
    Paragraph::new(Line::styled(workers_text, style)).render(workers, buffer);
    let (used, total) = (pool.capacity.used, pool.capacity.total);
    let ratio = match total {
        0 => 0.0,
        _ => used.min(total) as f64 / total as f64,
    };
    LineGauge::default()
        .ratio(ratio)
        .label(format!("{used}/{total}"))
        .filled_symbol("█")
        .unfilled_symbol("░")
        .filled_style(Style::new().fg(of_band(pool.capacity.band())))
        .render(gauge, buffer);
    let waiting = if pool.queue.depth > 0 {
        bold()
    } else {
        Style::new()
    };
    Paragraph::new(Line::styled(pool.queue.depth.to_string(), waiting)).render(queue, buffer);
    if let Some(trend) = screen.watch.trend(&pool.pool) {
        chart(
            trend.queue.iter().copied(),
            queue_chart,
            Color::Yellow,
            buffer,
        );
        Paragraph::new(per_second(&trend.rate)).render(rate, buffer);
        let rates = trend.rate.iter().map(|rate| (rate * 10.0) as u64);
        chart(rates, rate_chart, Color::Green, buffer);
    }
    let mut spans = vec![Span::raw(match pool.service_time.count {
        0 => "-".to_owned(),
        _ => micros(pool.service_time.p99_us as f64),
    })];
    if let Some(death) = pool.deaths.first() {
        let text = format!("  {} ago {}", ago(report, death.at), Printable(&death.exit));
        spans.push(Span::styled(text, Style::new().fg(Color::Red)));
    }
    if let Some(error) = &pool.start_error {
        let text = format!("  {}", Printable(error));
        spans.push(Span::styled(text, Style::new().fg(Color::Red)));
    }
    Paragraph::new(Line::from(spans)).render(rest, buffer);
}

/// Formats the newest rate.
fn per_second(rates: &VecDeque<f64>) -> String {
    match rates.back() {
        None => "-".to_owned(),
        Some(rate) if *rate < 9.95 && *rate > 0.0 => format!("{rate:.1}/s"),
        Some(rate) => format!("{rate:.0}/s"),
    }
}

/// Draws as many of the last values as fit, the newest at the right.
fn chart(
    values: impl DoubleEndedIterator<Item = u64>,
    area: Rect,
    colour: Color,
    buffer: &mut Buffer,
) {
    let mut data: Vec<u64> = values.rev().take(area.width.into()).collect();
    data.reverse();
    Sparkline::default()
        .data(&data)
        .style(Style::new().fg(colour))
        .render(area, buffer);
}
