//! The curves.

use std::collections::HashSet;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use ratatui::widgets::canvas::{self, Canvas};

use super::super::tally::loss;
use super::draw::panel;
use super::look::Look;
use super::state::{Curve, Row, State};

/// Curves with a letter and colour of their own; the others are there, but faint.
const LETTERED: usize = 7;

/// From how many times the smallest loss on the axis is logarithmic.
const WIDE: f64 = 10.0;

/// Draws the chart of the task that is shown.
pub(super) fn draw(frame: &mut Frame, area: Rect, state: &State, look: Look, boxed: bool) {
    let rows = state.rows();
    let lines = lines(&rows, look);
    let scale = Scale::of(&lines);
    let log = if scale.log { ", log scale" } else { "" };
    let block = panel(format!(" validation loss{log}: {} ", state.task().loss), boxed);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if lines.is_empty() {
        let text = Line::styled("No run has been measured yet.", look.faint());
        return frame.render_widget(Paragraph::new(text), inner);
    }
    let labels = scale.labels();
    let width = labels.iter().map(|l| l.len()).max().unwrap_or(0) as u16 + 1;
    let [above, below] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(inner);
    let [left, plot] =
        Layout::horizontal([Constraint::Length(width), Constraint::Fill(1)]).areas(above);
    let bounds = [[0.0, state.budget() as f64], scale.ends()];
    for (share, label) in [0, 1, 2].into_iter().zip(labels) {
        let y = left.y + (left.height.saturating_sub(1)) * share / 2;
        let place = Rect { y, height: 1, ..left }.intersection(left);
        frame.render_widget(Line::styled(label, look.faint()), place);
    }
    let across = Rect { x: plot.x, width: plot.width, ..below };
    frame.render_widget(Line::styled("0", look.faint()), across);
    let end = format!("{} gradient evaluations", state.budget());
    frame.render_widget(Line::styled(end, look.faint()).right_aligned(), across);
    frame.render_widget(
        Canvas::default()
            .x_bounds(bounds[0])
            .y_bounds(bounds[1])
            .paint(|context| paint(context, &lines, &scale)),
        plot,
    );
    letters(frame, plot, &lines, &scale, bounds);
}

/// A curve as it is drawn.
struct Drawn<'a> {
    curve: &'a Curve,
    colour: Color,
    letter: Option<char>,
    selected: bool,
    /// Whether the run is being made.
    hand: bool,
}

/// The curves in the order in which they are drawn: what matters most comes last, on top.
fn lines<'a>(rows: &[Row<'a>], look: Look) -> Vec<Drawn<'a>> {
    let mut lines = Vec::new();
    for (rank, row) in rows.iter().enumerate().rev() {
        let lettered = rank < LETTERED || row.selected;
        let colour = match (lettered, look) {
            (true, _) => look.series(row.number),
            (false, Look::Plain) => Color::Reset,
            (false, _) => Color::DarkGray,
        };
        let letter = lettered.then(|| row.letter());
        let line = |curve, hand| Drawn { curve, colour, letter, selected: row.selected, hand };
        match &row.curves.best {
            Some(best) => {
                lines.push(line(best, false));
                let hands = row.curves.hands.iter().filter(|_| row.selected);
                lines.extend(hands.map(|hand| Drawn { letter: None, ..line(hand, true) }));
            }
            None => lines.extend(row.curves.hands.iter().map(|hand| line(hand, true))),
        }
    }
    lines.sort_by_key(|line| line.selected);
    lines
}

/// Where a loss stands between the ends of the axis.
struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// Wide enough for the runs that have ended; runs in hand that leave it may yet diverge.
    fn of(lines: &[Drawn]) -> Self {
        let finite = |hand: bool| {
            let chosen = lines.iter().filter(move |line| line.hand == hand);
            let losses = chosen.flat_map(|line| line.curve.points.iter().map(|p| p[1]));
            losses.filter(|loss| loss.is_finite()).collect::<Vec<f64>>()
        };
        let losses = match finite(false) {
            ended if ended.is_empty() => finite(true),
            ended => ended,
        };
        let low = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let high = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match losses.is_empty() {
            true => Scale { low: 0.0, high: 1.0, log: false },
            false => Scale { low, high, log: low > 0.0 && high / low >= WIDE },
        }
    }

    fn at(&self, loss: f64) -> f64 {
        if self.log { loss.log10() } else { loss }
    }

    /// The ends of the axis, never the same.
    fn ends(&self) -> [f64; 2] {
        let [low, high] = [self.at(self.low), self.at(self.high)];
        let room = if high > low { 0.0 } else { 0.5 * low.abs().max(1e-3) };
        [low - room, high + room]
    }

    /// The losses at the top, in the middle and at the bottom.
    fn labels(&self) -> [String; 3] {
        let [low, high] = self.ends();
        [high, low / 2.0 + high / 2.0, low]
            .map(|at| loss(if self.log { 10f64.powf(at) } else { at }))
    }
}

fn paint(context: &mut canvas::Context, lines: &[Drawn], scale: &Scale) {
    let place = |point: &[f64; 2]| [point[0], scale.at(point[1])];
    for line in lines {
        context.layer();
        context.marker(if line.selected && !line.hand { Marker::Dot } else { Marker::Braille });
        for pair in line.curve.points.windows(2).filter(|_| !line.hand) {
            let [[x1, y1], [x2, y2]] = [place(&pair[0]), place(&pair[1])];
            if y1.is_finite() && y2.is_finite() {
                context.draw(&canvas::Line { x1, y1, x2, y2, color: line.colour });
            }
        }
        let points = line.curve.points.iter().map(place).filter(|p| p[1].is_finite());
        let coords: Vec<(f64, f64)> = points.map(|[x, y]| (x, y)).collect();
        context.draw(&canvas::Points { coords: &coords, color: line.colour });
    }
}

/// Writes the letters next to the ends of their curves, none over another.
fn letters(frame: &mut Frame, plot: Rect, lines: &[Drawn], scale: &Scale, bounds: [[f64; 2]; 2]) {
    let share = |value: f64, [low, high]: [f64; 2]| ((value - low) / (high - low)).clamp(0.0, 1.0);
    let mut taken: HashSet<(u16, u16)> = HashSet::new();
    // The one on top chooses first.
    for line in lines.iter().rev() {
        let mut points = line.curve.points.iter().filter(|p| p[1].is_finite());
        let (Some(letter), Some([step, loss])) = (line.letter, points.next_back()) else {
            continue;
        };
        let across = share(*step, bounds[0]) * f64::from(plot.width.saturating_sub(1));
        let down =
            (1.0 - share(scale.at(*loss), bounds[1])) * f64::from(plot.height.saturating_sub(1));
        let (mut x, y) = (plot.x + across.round() as u16, plot.y + down.round() as u16);
        while taken.contains(&(x, y)) && x > plot.x {
            x -= 1;
        }
        taken.insert((x, y));
        let mut style = Style::new().fg(line.colour).add_modifier(Modifier::BOLD);
        if line.selected {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let place = Rect { x, y, width: 1, height: 1 }.intersection(plot);
        frame.render_widget(Span::styled(letter.to_string(), style), place);
    }
}
