//! How much of a comparison a page shows: everything, or as much as fits.

use super::view::View;

/// The size a page stays below, in bytes: five megabytes, but for what a reader's tools may add.
pub(super) const LARGE: usize = 4_800_000;

/// How finely a page is drawn, the same for every task and optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detail {
    /// The most points a line is drawn with.
    pub(super) points: usize,
    /// The most pictures in figures of one small picture per optimizer.
    pub(super) panels: usize,
    /// The most parameters whose probes are drawn.
    pub(super) layers: usize,
    /// The most optimizers below the ranks in colour whose probes are drawn because something is wrong with them.
    pub(super) sick: usize,
    /// The most entries in the list of runs, one per optimizer.
    pub(super) entries: usize,
    /// Whether the page carries the curve of every final run, from which scripts draw and average.
    pub(super) runs: bool,
    /// Whether there is more than rankings.
    pub(super) figures: bool,
    /// The most rows in a ranking.
    pub(super) rows: usize,
}

impl Detail {
    /// More than a screen can show of every line, and all of the rest.
    pub(super) const FULL: Detail = Detail {
        points: 2_000,
        panels: usize::MAX,
        layers: 6,
        sick: 7,
        entries: usize::MAX,
        runs: true,
        figures: true,
        rows: usize::MAX,
    };

    /// What is tried, until the page is small enough: first lines lose points that no eye misses, then
    /// every figure of small pictures loses those of the last ranks or of parameters, as does the list of runs, then scripts
    /// lose the runs, and lines half of the points that they have left.
    pub(super) fn steps() -> impl Iterator<Item = Detail> {
        let lines = [2_000, 800, 300, 120, 60, 30].map(|points| Detail { points, ..Self::FULL });
        let coarse = lines[lines.len() - 1];
        let panels = [(48, 4, 4), (24, 2, 2), (12, 1, 0)];
        let panels = panels.map(|(panels, layers, sick)| Detail { panels, layers, sick, ..coarse });
        let fewest = panels[panels.len() - 1];
        let listed = Detail { entries: fewest.panels, ..fewest };
        let still = Detail { runs: false, ..listed };
        let coarser = Detail { points: 16, ..still };
        let tables = [usize::MAX, 40, 10, 3].map(|rows| Detail { figures: false, rows, ..still });
        lines.into_iter().chain(panels).chain([listed, still, coarser]).chain(tables)
    }

    /// The small pictures that are shown of `all`, and a sentence about those that are not.
    pub(super) fn panels<T>(&self, mut all: Vec<T>) -> (Vec<T>, String) {
        let count = all.len();
        all.truncate(self.panels);
        (all, left_out(count.min(self.panels), count, "pictures"))
    }
}

/// A sentence about what is not shown; empty if all of it is.
pub(super) fn left_out(shown: usize, all: usize, what: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        missing => format!(
            " To keep this page small, the {what} of the last {missing} of {all} are left out."
        ),
    }
}

/// What was thinned out or left out of the page, for its head; empty if nothing was.
pub(super) fn notice(view: &View<'_>) -> String {
    let detail = view.detail;
    let seeds = || view.tasks().iter().flat_map(|t| &t.standings).flat_map(|s| &s.seeds);
    let most = view.tasks().iter().map(|t| t.standings.len()).max().unwrap_or(0);
    let mut words: Vec<String> = Vec::new();
    if detail.figures && seeds().any(|s| s.points.len() > detail.points) {
        words.push(format!("lines have at most {} points, extremes among them", detail.points));
    }
    if detail.figures && most > detail.panels {
        words.push(format!(
            "figures with a small picture per optimizer show the best {}",
            detail.panels
        ));
    }
    if detail.figures && detail.layers < Detail::FULL.layers {
        words.push(format!("probes are drawn of at most {} parameters", detail.layers));
    }
    if detail.figures && most > detail.entries {
        words.push(format!("the list of runs holds the best {}", detail.entries));
    }
    if detail.figures && !detail.runs {
        words.push("single runs cannot be hidden, and curves do not zoom".to_owned());
    }
    if !detail.figures {
        words.push("there are no figures".to_owned());
    }
    if most > detail.rows {
        words.push(format!("rankings show the best {}", detail.rows));
    }
    if words.is_empty() || detail == Detail::FULL {
        return String::new();
    }
    format!(
        "<p class=\"thinned\">To keep this page below 5 MB: {}. Every number is in \
         <code>results.json</code>, and the same command with <code>--svg-dir DIR</code> writes every figure \
         in full.</p>\n",
        words.join("; ")
    )
}
