//! The sections of the page, in the order in which it shows them.

pub(super) mod basin;
pub(super) mod curves;
pub(super) mod diagnosis;
pub(super) mod fairness;
pub(super) mod manifest;
pub(super) mod paths;
pub(super) mod profile;
pub(super) mod results;
pub(super) mod runs;
pub(super) mod tunability;
pub(super) mod verdict;
pub(super) mod why;

use super::figure::Figure;
use super::markup::{count, escape};
use super::view::View;
use crate::protocol::TaskOutcome;

/// A section: its anchor, its heading and its parts.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) heading: &'static str,
    pub(super) parts: Vec<Part>,
}

/// A piece of a section.
#[derive(Debug)]
pub(super) enum Part {
    /// HTML that needs nothing more.
    Html(String),
    /// A figure.
    Figure(Box<Figure>),
    /// The same figure over several clocks, one shown at a time.
    Clocks(&'static str, Vec<(&'static str, Figure)>),
    /// The parts of one task, which can be folded away, with its [`stamp`].
    Task(&'static str, String, Vec<Part>),
}

/// Whether any final run of a task was made.
pub(super) fn has_runs(task: &TaskOutcome) -> bool {
    task.ran().next().is_some()
}

/// What stands where final runs would be drawn.
fn no_runs() -> Part {
    Part::Html("<p class=\"caption\">No final runs yet: there is nothing to draw.</p>\n".to_owned())
}

impl From<Figure> for Part {
    fn from(figure: Figure) -> Self {
        Part::Figure(Box::new(figure))
    }
}

/// With more tasks than this, all but the first are folded.
const OPEN: usize = 3;

impl Section {
    /// A section with the parts that `make` has for every task.
    pub(super) fn per_task(
        view: &View<'_>,
        id: &'static str,
        heading: &'static str,
        make: impl Fn(&TaskOutcome) -> Vec<Part>,
    ) -> Self {
        let part = |task: &TaskOutcome| {
            Some(Part::Task(task.task, stamp(task), make(task))).filter(|p| !p.is_empty())
        };
        Section { id, heading, parts: view.tasks().iter().filter_map(part).collect() }
    }

    /// The section with something said first.
    pub(super) fn saying(mut self, html: &str) -> Self {
        if !self.parts.is_empty() {
            self.parts.insert(0, Part::Html(html.to_owned()));
        }
        self
    }

    /// The section as HTML.
    pub(super) fn html(&self) -> String {
        let tasks = self.parts.iter().filter(|p| matches!(p, Part::Task(..))).count();
        let mut seen = 0;
        let parts: String = self
            .parts
            .iter()
            .map(|part| {
                seen += usize::from(matches!(part, Part::Task(..)));
                part.html(tasks, seen == 1 || tasks <= OPEN)
            })
            .collect();
        let (id, heading) = (self.id, self.heading);
        format!(
            "<section id=\"{id}\" aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{heading}</h2>\n{parts}</section>\n"
        )
    }

    /// Every figure of the section, with the stamp of its task if it is of one.
    pub(super) fn figures(&self) -> Vec<(Option<&str>, &Figure)> {
        self.parts.iter().flat_map(Part::figures).collect()
    }
}

impl Part {
    fn is_empty(&self) -> bool {
        matches!(self, Part::Task(.., parts) if parts.is_empty())
    }

    fn html(&self, tasks: usize, open: bool) -> String {
        match self {
            Part::Html(html) => html.clone(),
            Part::Figure(figure) => figure.html(),
            Part::Clocks(legend, figures) => clocks(legend, figures),
            Part::Task(name, stamp, parts) => {
                let inner: String = parts.iter().map(|p| p.html(tasks, open)).collect();
                let name = escape(name);
                match tasks {
                    1 => inner,
                    _ => format!(
                        "<details class=\"task\" data-stamp=\"{}\"{}><summary><h3>{name}</h3></summary>\n{inner}</details>\n",
                        escape(stamp),
                        if open { " open=\"open\"" } else { "" }
                    ),
                }
            }
        }
    }

    fn figures(&self) -> Vec<(Option<&str>, &Figure)> {
        match self {
            Part::Html(_) => Vec::new(),
            Part::Figure(figure) => vec![(None, figure)],
            Part::Clocks(_, figures) => figures.iter().map(|(_, f)| (None, f)).collect(),
            Part::Task(_, stamp, parts) => {
                let all = parts.iter().flat_map(Part::figures);
                all.map(|(_, figure)| (Some(&**stamp), figure)).collect()
            }
        }
    }
}

/// Radio buttons that choose a figure; they work without scripts.
fn clocks(legend: &str, figures: &[(&str, Figure)]) -> String {
    let group = figures.first().map_or("", |(_, f)| &f.id);
    let mut html =
        format!("<div class=\"clocks\" role=\"group\" aria-label=\"{}\">", escape(legend));
    for (i, (clock, _)) in figures.iter().enumerate() {
        let checked = if i == 0 { " checked=\"checked\"" } else { "" };
        html += &format!(
            "<input class=\"k{i}\" type=\"radio\" name=\"{group}\" id=\"{group}-k{i}\"{checked}/>\
             <label for=\"{group}-k{i}\">{}</label>",
            escape(clock)
        );
    }
    for (i, (_, figure)) in figures.iter().enumerate() {
        html += &format!("<div class=\"clock v{i}\">{}</div>", figure.html());
    }
    html + "</div>\n"
}

/// What a figure of a task says of itself where it stands alone.
fn stamp(task: &TaskOutcome) -> String {
    format!(
        "thalweg {} · {} · tier {} · {} · {} per run",
        env!("CARGO_PKG_VERSION"),
        task.task,
        task.tier.name(),
        count(task.seeds.len(), "final seed"),
        count(task.budget, "gradient evaluation"),
    )
}

/// What a figure of all tasks says of itself where it stands alone.
pub(super) fn stamp_of_all(view: &View<'_>) -> String {
    match view.tasks() {
        [task] => stamp(task),
        tasks => {
            let mut tiers: Vec<&str> = tasks.iter().map(|t| t.tier.name()).collect();
            tiers.sort_unstable();
            tiers.dedup();
            let [gradients, seeds] = verdict::given(tasks);
            format!(
                "thalweg {} · {} · tier {} · {seeds} · {gradients}",
                env!("CARGO_PKG_VERSION"),
                count(tasks.len(), "task"),
                tiers.join(", ")
            )
        }
    }
}
