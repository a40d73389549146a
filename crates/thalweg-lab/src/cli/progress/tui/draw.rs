//! The picture of a state: a function of the state, the colours, the time and the size of the terminal.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{
    Block, Borders, Cell, Clear, Paragraph, Row as Cells, Table, TableState, Wrap,
};

use super::super::tally::{CLOCK, LOSS, clock, loss};
use super::chart;
use super::look::Look;
use super::state::{Row, State};
use crate::diagnosis::Severity;

/// From this width on the table stands beside the chart.
const WIDE: u16 = 110;

/// Below this height there is no chart.
const LOW: u16 = 16;

/// The least height of what the doctor found.
const FOUND: u16 = 8;

/// The width of the table.
const TABLE: u16 = 58;

const KEYS: [(&str, &str); 6] = [
    ("Tab, → / ←", "next / previous task"),
    ("↓ / ↑", "select an optimizer: its curve on top, its findings alone"),
    ("Esc", "select none"),
    ("q, Ctrl-C", "finish the runs in hand, write a report of what there is, end"),
    ("twice", "give the runs in hand up; the same command continues later"),
    ("?", "show or hide this"),
];

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame, state: &State, look: Look, elapsed: Duration) {
    let parts = [Constraint::Length(2), Constraint::Fill(1), Constraint::Length(1)];
    let [head, body, foot] = Layout::vertical(parts).areas(frame.area());
    header(frame, head, state, look, elapsed);
    let rows = state.rows().len() as u16;
    if body.width >= WIDE && body.height >= LOW {
        let parts = [Constraint::Length(TABLE), Constraint::Fill(1)];
        let [left, right] = Layout::horizontal(parts).areas(body);
        let height = (rows + 3).min(body.height - FOUND);
        let parts = [Constraint::Length(height), Constraint::Fill(1)];
        let [upper, lower] = Layout::vertical(parts).areas(left);
        table(frame, upper, state, look, elapsed, true);
        findings(frame, lower, state, look, true);
        chart::draw(frame, right, state, look, true);
    } else if body.height >= LOW {
        let height = Constraint::Length((rows + 2).min(body.height / 3));
        let parts = [Constraint::Fill(2), height, Constraint::Fill(1)];
        let [upper, middle, lower] = Layout::vertical(parts).areas(body);
        chart::draw(frame, upper, state, look, false);
        table(frame, middle, state, look, elapsed, false);
        findings(frame, lower, state, look, false);
    } else {
        table(frame, body, state, look, elapsed, false);
    }
    footer(frame, foot, state, look);
    if state.help {
        help(frame);
    }
}

/// A part of the screen: with a box around it, or where there is little room with a line above it.
pub(super) fn panel<'a>(title: String, boxed: bool) -> Block<'a> {
    let borders = if boxed { Borders::ALL } else { Borders::TOP };
    Block::new().borders(borders).title(title)
}

/// The tasks, and how far all of them are.
fn header(frame: &mut Frame, area: Rect, state: &State, look: Look, elapsed: Duration) {
    let [upper, lower] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let names: Vec<String> =
        state.tasks().map(|(name, [done, of])| format!(" {name} {done}/{of} ")).collect();
    let all = names.iter().map(|n| n.chars().count() + 1).sum::<usize>();
    let mut spans = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let shown = i == state.shown();
        let style =
            if shown { Style::new().add_modifier(Modifier::REVERSED) } else { look.faint() };
        if shown || all <= usize::from(area.width) {
            spans.push(Span::styled(name.clone(), style));
            spans.push(Span::raw(" "));
        }
    }
    if all > usize::from(area.width) && names.len() > 1 {
        let of = format!("task {} of {}", state.shown() + 1, names.len());
        spans.push(Span::styled(of, look.faint()));
    }
    frame.render_widget(Line::from(spans), upper);
    let [done, of] = state.tally().runs();
    let left = clock(state.tally().left_in_all(elapsed));
    let line = match state.stopping {
        Some(how) => Line::styled(format!(" {done} of {of} runs · {how}"), look.bad()),
        None => {
            let so_far = clock(Some(elapsed));
            Line::raw(format!(" {done} of {of} runs after {so_far} · {left} left"))
        }
    };
    frame.render_widget(line, lower);
}

/// Columns of the table, the most important first, with their widths.
const COLUMNS: [(&str, Constraint); 6] = [
    ("", Constraint::Length(1)),
    ("optimizer", Constraint::Fill(1)),
    ("best loss", Constraint::Length(LOSS as u16)),
    ("runs", Constraint::Length(7)),
    ("left", Constraint::Length(CLOCK as u16)),
    ("diverged", Constraint::Length(8)),
];

fn table(frame: &mut Frame, area: Rect, state: &State, look: Look, elapsed: Duration, boxed: bool) {
    let columns = match area.width {
        0..36 => 3,
        36..46 => 4,
        _ => COLUMNS.len(),
    };
    let rows = state.rows();
    let selected = rows.iter().position(|row| row.selected);
    let line = |row: &Row| {
        let diverged = match row.contest.diverged {
            0 => Span::raw(""),
            n => Span::styled(n.to_string(), look.bad()),
        };
        let left = clock(state.tally().left(row.index, elapsed));
        let colour = Style::new().fg(look.series(row.number));
        let cells = [
            Cell::from(Span::styled(row.letter().to_string(), colour)),
            Cell::from(row.contest.optimizer),
            right(Span::raw(loss(row.contest.best))),
            right(Span::raw(format!("{}/{}", row.contest.done, row.contest.of))),
            right(Span::raw(left)),
            right(diverged),
        ];
        Cells::new(cells.into_iter().take(columns))
    };
    let titles = COLUMNS.iter().take(columns).enumerate().map(|(i, (title, _))| match i {
        0 | 1 => Cell::from(*title),
        _ => right(Span::raw(*title)),
    });
    let widths = COLUMNS.iter().take(columns).map(|(_, width)| *width);
    let mut table = Table::new(rows.iter().map(line), widths)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    // Where there is hardly room for the optimizers they have it to themselves.
    if area.height >= 6 {
        table = table
            .header(Cells::new(titles).style(look.faint()))
            .block(panel(format!(" {} optimizers, the best first ", rows.len()), boxed));
    }
    frame.render_stateful_widget(table, area, &mut TableState::new().with_selected(selected));
}

fn right(span: Span<'_>) -> Cell<'_> {
    Cell::from(Text::from(Line::from(span).right_aligned()))
}

/// The selected optimizer's best run, and what the doctor found.
fn findings(frame: &mut Frame, area: Rect, state: &State, look: Look, boxed: bool) {
    let found = state.findings();
    let mut lines = Vec::new();
    if let Some(row) = state.rows().iter().find(|row| row.selected) {
        let best = row.curves.best.as_ref().and_then(|curve| Some((curve, curve.lowest()?)));
        let text = match best {
            Some((curve, (loss, step))) => {
                format!("Its best run: {loss} after {step} gradients, with {}.", curve.hypers())
            }
            None => "No run of it has ended well yet.".to_owned(),
        };
        lines.push(Line::raw(text));
    }
    if found.is_empty() {
        let text = "Nothing found; only final runs, the last ones, are looked at.";
        lines.push(Line::styled(text, look.faint()));
    }
    for finding in &found {
        let style = match finding.severity {
            Severity::Critical => look.bad(),
            Severity::Warning => Style::new().add_modifier(Modifier::BOLD),
            Severity::Note => Style::new(),
        };
        let seeds = match finding.seeds {
            1 => "1 seed".to_owned(),
            n => format!("{n} seeds"),
        };
        let head = format!("{} {}, {seeds}: ", finding.severity.name(), finding.optimizer);
        lines.push(Line::from(vec![Span::styled(head, style), Span::raw(&finding.what)]));
    }
    let title = match found.len() {
        0 => " doctor ".to_owned(),
        n => format!(" doctor: {n} found "),
    };
    let text = Paragraph::new(lines).wrap(Wrap { trim: true }).block(panel(title, boxed));
    frame.render_widget(text, area);
}

fn footer(frame: &mut Frame, area: Rect, state: &State, look: Look) {
    let end = match state.stopping {
        None => "q end with a report",
        Some(_) => "q give up the runs in hand",
    };
    let tasks = if state.tasks().count() > 1 { "Tab task · " } else { "" };
    let text = format!(" {end} · {tasks}↑↓ optimizer · ? keys");
    frame.render_widget(Line::styled(text, look.faint()), area);
}

fn help(frame: &mut Frame) {
    let width = KEYS.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    let lines: Vec<Line> =
        KEYS.iter().map(|(key, what)| Line::raw(format!("{key:width$}  {what}"))).collect();
    let size = lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 2;
    let area = frame.area();
    let area = area.centered(
        Constraint::Length(size.min(area.width)),
        Constraint::Length((lines.len() as u16 + 2).min(area.height)),
    );
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), area);
}
