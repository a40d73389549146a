//! A figure of the page: pictures, what they say in words, and their numbers.

use serde_json::Value;

use super::data::json;
use super::markup::{escape, px};
use super::palette::standalone_rules;
use crate::{Error, Result};

/// A figure.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// Unique in the document, and the name of its file.
    pub(super) id: String,
    pub(super) title: String,
    /// What to see in it; HTML.
    pub(super) caption: String,
    /// One picture, or the panels of many small ones.
    pub(super) pictures: Vec<String>,
    /// Its numbers as an HTML table; may be empty.
    pub(super) table: String,
    /// What the scripts need to draw it again; `None` for pictures that stay as they are.
    pub(super) live: Option<Value>,
}

/// The distance between the panels of a picture on its own.
const GAP: f64 = 12.0;

/// The height of a line of words above or below it.
const WORDS: f64 = 16.0;

/// The width of a letter of such a line.
const LETTER: f64 = 6.6;

/// The light colours of what pictures share, which is matched by itself, without the picture around it.
const SHARED: &str = ".tick{fill:#57606a}.grid{stroke:#e1e5ea}";

/// The widest a picture on its own gets.
const SHEET: f64 = 1080.0;

/// Pictures wider than this are rows, one below the other.
const ROW: f64 = 400.0;

/// Pictures wider than this are panels of which three stand side by side.
const SMALL: f64 = 260.0;

impl Figure {
    /// The figure as HTML.
    pub(super) fn html(&self) -> String {
        let (id, title) = (&self.id, escape(&self.title));
        let pictures = self.pictures.concat();
        let plot = match self.pictures.len() {
            1 if self.width() > ROW => format!("<div class=\"plot\">{pictures}</div>"),
            _ if self.width() > ROW => format!("<div class=\"plot rows\">{pictures}</div>"),
            _ if self.width() > SMALL => {
                format!("<div class=\"plot panels middling\">{pictures}</div>")
            }
            _ => format!("<div class=\"plot panels\">{pictures}</div>"),
        };
        let table = match &*self.table {
            "" => String::new(),
            table => format!(
                "<details class=\"numbers\"><summary>Numbers of “{title}”</summary>{}\
                 <div class=\"wide\">{table}</div></details>",
                sideways(table)
            ),
        };
        let live = self.live.as_ref().map_or_else(String::new, |value| {
            format!("<script type=\"application/json\" class=\"spec\">{}</script>", json(value))
        });
        format!(
            "<figure id=\"fig-{id}\"><figcaption><b>{title}.</b> {}</figcaption>{plot}{table}{live}</figure>\n",
            self.caption
        )
    }

    /// The width of its first picture.
    fn width(&self) -> f64 {
        self.pictures.first().and_then(|p| size(p)).map_or(0.0, |[width, _]| width)
    }

    /// What it is called where it stands alone; nothing for a single picture of the full width, whose axes
    /// say what it shows.
    fn heading(&self) -> &str {
        if self.pictures.len() == 1 && self.width() > ROW { "" } else { &self.title }
    }

    /// The figure as an SVG document of its own, in light colours, with a `stamp` below it that says what it
    /// is of, unless that is empty.
    pub(super) fn standalone(&self, stamp: &str) -> Result<String> {
        let sizes: Vec<[f64; 2]> = self.pictures.iter().filter_map(|p| size(p)).collect();
        let [width, height] =
            sizes.first().copied().filter(|_| sizes.len() == self.pictures.len()).ok_or_else(
                || {
                    Error::failed(
                        format!("the figure {} has a picture without a size", self.id),
                        "please report this defect",
                    )
                },
            )?;
        let columns = ((SHEET / (width + GAP)) as usize).clamp(1, sizes.len());
        let rows = sizes.len().div_ceil(columns);
        let heading = self.heading();
        let [above, below] = [heading, stamp].map(|text| if text.is_empty() { 0.0 } else { WORDS });
        // Words are never cut off.
        let longest = heading.chars().count().max(stamp.chars().count()) as f64 * LETTER;
        let sheet = [
            (columns as f64 * (width + GAP)).max(longest + GAP) + GAP,
            rows as f64 * (height + GAP) + GAP + above + below,
        ];
        let mut body = words("name", heading, 2.0 + WORDS);
        for (i, picture) in self.pictures.iter().enumerate() {
            let (x, y) = ((i % columns) as f64, (i / columns) as f64);
            let place = format!(
                "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" ",
                px(GAP + x * (width + GAP)),
                px(GAP + above + y * (height + GAP)),
                px(sizes[i][0]),
                px(sizes[i][1]),
            );
            body += &picture.replacen("<svg ", &place, 1);
        }
        body += &words("label", stamp, sheet[1] - GAP);
        let shared = if body.contains("<use ") { SHARED } else { "" };
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\
             <title>{2}</title><style>{3}{shared}</style><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>{body}</svg>\n",
            px(sheet[0]),
            px(sheet[1]),
            escape(&self.title),
            standalone_rules(),
        ))
    }
}

/// A line of words on a picture on its own, if there are any.
fn words(class: &str, text: &str, y: f64) -> String {
    match text {
        "" => String::new(),
        text => format!(
            "<g class=\"chart\"><text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text></g>",
            px(GAP),
            px(y),
            escape(text)
        ),
    }
}

/// Width and height of a picture, from its view box.
fn size(picture: &str) -> Option<[f64; 2]> {
    let (_, rest) = picture.split_once("viewBox=\"0 0 ")?;
    let (numbers, _) = rest.split_once('"')?;
    let (width, height) = numbers.split_once(' ')?;
    Some([width.parse().ok()?, height.parse().ok()?])
}

/// A table of more columns than this may be wider than the page.
const COLUMNS: usize = 9;

/// Where to look for the rest of a table that is wider than the page.
fn sideways(table: &str) -> &'static str {
    match table.matches("<th scope=\"col\">").count() > COLUMNS {
        true => {
            "<p class=\"caption\">The table may be wider than the page: scroll it sideways.</p>"
        }
        false => "",
    }
}

/// An HTML table from a header and rows; the first cell of a row names it.
pub(super) fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: String =
        header.iter().map(|h| format!("<th scope=\"col\">{}</th>", escape(h))).collect();
    let body: String = rows
        .map(|row| {
            let cells: String = row
                .iter()
                .enumerate()
                .map(|(i, cell)| match i {
                    0 => format!("<th scope=\"row\">{}</th>", escape(cell)),
                    _ => format!("<td class=\"n\">{}</td>", escape(cell)),
                })
                .collect();
            format!("<tr>{cells}</tr>")
        })
        .collect();
    format!("<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(pictures: usize) -> Figure {
        let picture =
            |i: usize| format!("<svg class=\"chart\" id=\"p{i}\" viewBox=\"0 0 204 130\"></svg>");
        Figure {
            id: "f".into(),
            title: "A & B".into(),
            caption: "c".into(),
            pictures: (0..pictures).map(picture).collect(),
            table: table(&["x", "y"], [vec!["a".into(), "<1".into()]].into_iter()),
            live: None,
        }
    }

    #[test]
    fn a_picture_on_its_own_is_a_document() {
        for count in [1, 7] {
            let svg = figure(count).standalone("of what").unwrap();
            let tree = roxmltree::Document::parse(&svg).unwrap();
            assert_eq!(
                tree.descendants()
                    .filter(|n| n.has_tag_name("svg") || n.tag_name().name() == "svg")
                    .count(),
                count + 1
            );
            assert!(!svg.contains("var(") && svg.contains("A &amp; B"));
            assert!(svg.contains(">of what</text>") && svg.contains(">A &amp; B</text>"));
        }
        let mut broken = figure(1);
        broken.pictures = vec!["<svg></svg>".into()];
        assert!(broken.standalone("").is_err());
    }

    #[test]
    fn the_page_has_picture_and_numbers() {
        let html = figure(1).html();
        assert!(html.contains("&lt;1") && html.contains("<details") && !html.contains("<script"));
    }
}
