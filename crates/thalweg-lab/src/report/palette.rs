//! Colours: one table for the page in light, dark and print, and for pictures on their own.
//!
//! The series colours are those of Okabe and Ito ("Color Universal Design", 2008), which people with
//! any kind of colour vision tell apart; the dark ones are the same hues, lighter.

use std::fmt::Write as _;

/// The rules for what is inside a picture. Colours are variables.
pub(super) const FIGURE: &str = include_str!("assets/figure.css");

/// Name, light and dark value of every variable.
const COLOURS: [(&str, &str, &str); 29] = [
    ("paper", "#ffffff", "#15181c"),
    ("ink", "#1b1f24", "#e8eaed"),
    ("soft", "#57606a", "#a2abb5"),
    ("rule", "#e1e5ea", "#2e343b"),
    ("box", "#f6f8fa", "#1c2127"),
    ("mark", "#fff1c2", "#4d3f00"),
    ("accent", "#0072b2", "#4aa8e0"),
    ("rest", "#b4bcc5", "#707c88"),
    ("good", "#00734f", "#2bc79b"),
    ("bad", "#b34000", "#f0803c"),
    ("c0", "#0072b2", "#4aa8e0"),
    ("c1", "#d55e00", "#f0803c"),
    ("c2", "#009e73", "#2bc79b"),
    ("c3", "#cc79a7", "#e29bc4"),
    ("c4", "#e69f00", "#f0b429"),
    ("c5", "#56b4e9", "#9bd4f5"),
    ("c6", "#1b1f24", "#e8eaed"),
    ("height", "#30648c", "#6ea6cf"),
    ("ground", "#fbfcfd", "#101317"),
    ("shade", "#e3f1ea", "#1c3029"),
    ("h0", "#08519c", "#9ecbf0"),
    ("h1", "#2f7ab8", "#6ea6d6"),
    ("h2", "#5b9bcb", "#3d6c96"),
    ("h3", "#8bbbdd", "#366181"),
    ("h4", "#b3d3ea", "#2f536f"),
    ("h5", "#d0e2f2", "#29475e"),
    ("h6", "#e4eef8", "#233b4e"),
    ("h7", "#f3f7fb", "#1d2d3b"),
    ("on", "#ffffff", "#10151a"),
];

/// Colours of series, after which a dash pattern tells them apart.
pub(super) const SERIES: usize = 7;

/// Dash patterns; the first is a solid line.
pub(super) const DASHES: [&str; 4] = ["none", "7 3", "2 2.5", "9 3 2 3"];

/// The light colour of the series of that number as red, green and blue; `None` for the ink of the text.
#[cfg(feature = "tui")]
pub(crate) fn series(number: usize) -> Option<[u8; 3]> {
    let name = format!("c{}", number % SERIES);
    let of = |name: &str| COLOURS.iter().find(|(n, _, _)| *n == name).map(|(_, light, _)| *light);
    let light = of(&name).filter(|light| Some(*light) != of("ink"))?;
    let channel = |i: usize| u8::from_str_radix(light.get(i..i + 2)?, 16).ok();
    Some([channel(1)?, channel(3)?, channel(5)?])
}

/// The variables of the page.
pub(super) fn variables() -> String {
    let block = |dark: bool| {
        COLOURS.iter().fold(String::new(), |mut text, (name, light, dim)| {
            let _ = write!(text, "--{name}:{};", if dark { dim } else { light });
            text
        })
    };
    let (light, dark) = (block(false), block(true));
    format!(
        ":root{{color-scheme:light;{light}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light])\
         {{color-scheme:dark;{dark}}}}}\n\
         @media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n"
    )
}

/// The rules of single series, then those of figures.
pub(super) fn figure_rules() -> String {
    let mut text = String::new();
    for i in 0..SERIES {
        let _ = writeln!(
            text,
            ".c{i} .line,.c{i} .trial,.c{i} .dots{{stroke:var(--c{i})}}\
             .c{i} .dot,.c{i} .band,.c{i} .faint,.c{i} .start{{fill:var(--c{i})}}\
             .c{i} .bar,.c{i} .mean,.c{i} .open{{stroke:var(--c{i})}}"
        );
    }
    for (i, dash) in DASHES.iter().enumerate() {
        let _ = writeln!(text, ".d{i} .line{{stroke-dasharray:{dash}}}");
    }
    FIGURE.to_owned() + &text
}

/// The rules of figures with light colours in place of variables, for a picture on its own.
pub(super) fn standalone_rules() -> String {
    COLOURS.iter().fold(figure_rules(), |text, (name, light, _)| {
        text.replace(&format!("var(--{name})"), light)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_in_use_has_a_colour() {
        let rules = standalone_rules();
        let left: Vec<&str> = rules.split("var(").skip(1).map(|r| &r[..10.min(r.len())]).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// Relative luminance as WCAG 2 defines it.
    fn luminance(colour: &str) -> f64 {
        let channel = |i: usize| {
            let value = f64::from(u8::from_str_radix(&colour[i..i + 2], 16).unwrap()) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    /// The contrast of two variables as WCAG 2 defines it: 4.5 or more is readable.
    fn contrast(a: &str, b: &str, dark: bool) -> f64 {
        let [a, b] = [a, b].map(|name| {
            let row = COLOURS.iter().find(|c| c.0 == name).unwrap();
            luminance(if dark { row.2 } else { row.1 })
        });
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_stands_out_from_the_paper() {
        for dark in [false, true] {
            for paper in ["paper", "box"] {
                for text in ["ink", "soft", "accent", "good", "bad"] {
                    let contrast = contrast(text, paper, dark);
                    assert!(contrast >= 4.5, "{text} on {paper}: {contrast}");
                }
            }
        }
    }

    #[test]
    fn better_cells_stand_out_more_and_their_text_is_readable_in_both_themes() {
        let shades: Vec<&str> =
            COLOURS.iter().map(|c| c.0).filter(|n| n.len() == 2 && n.starts_with('h')).collect();
        assert_eq!(shades.len(), 8);
        let on = |shade: &str| FIGURE.contains(&format!(".chart .{shade} text"));
        assert!(on("h0") && !on("h7"));
        for dark in [false, true] {
            let from_paper: Vec<f64> =
                shades.iter().map(|shade| contrast(shade, "paper", dark)).collect();
            assert!(from_paper.is_sorted_by(|better, worse| better > worse), "{from_paper:?}");
            for shade in &shades {
                let text = contrast(if on(shade) { "on" } else { "ink" }, shade, dark);
                assert!(text >= 4.5, "text on {shade}, dark {dark}: {text}");
            }
        }
    }
}
