//! Escaping and number formats.

/// `text` with the characters that HTML and SVG give a meaning escaped.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

/// A coordinate: a tenth of a pixel is enough, and keeps the file small.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A value as people write it: three significant digits, powers of ten only when they help. `axes.js` has the same
/// rule.
pub(super) fn number(value: f64) -> String {
    digits(value, 2)
}

/// Values side by side as [`number`] writes them, each with as many more digits as tell it from the nearest one that
/// differs by more than round-off.
pub(super) fn apart(values: &[f64]) -> Vec<String> {
    let nearest = |value: f64| {
        let others =
            values.iter().map(|v| (v - value).abs()).filter(|away| *away > 1e-6 * value.abs());
        others.fold(f64::INFINITY, f64::min)
    };
    let more = |value: f64| magnitude(value).saturating_sub(magnitude(nearest(value))).max(2);
    values.iter().map(|v| digits(*v, more(*v))).collect()
}

/// The power of ten of the first digit.
fn magnitude(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

/// A value with so many digits after its first.
fn digits(value: f64, after: i32) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    if value.is_infinite() {
        return "∞".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = magnitude(value);
    match exponent {
        -3..=4 => {
            let text = format!("{value:.*}", (after - exponent).max(0) as usize);
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        _ => {
            // Rounding may carry into another power.
            let text = format!("{value:.*e}", after as usize);
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            let power = superscript(exponent);
            if mantissa == "1" { power } else { format!("{mantissa}·{power}") }
        }
    }
}

fn superscript(exponent: &str) -> String {
    let raised = exponent.chars().map(|c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => char::from_u32('⁰' as u32 + (c as u32 - '0' as u32)).unwrap_or(c),
    });
    format!("10{}", raised.collect::<String>())
}

/// A mean with its interval, in a fixed number of decimals; a mean too small for them as [`number`] has it.
pub(super) fn interval(mean: f64, half_width: Option<f64>, decimals: usize) -> String {
    let small = mean != 0.0 && mean.abs() < 10f64.powi(1 - decimals as i32);
    match (mean.is_finite(), half_width) {
        _ if mean.is_nan() => "–".to_owned(),
        (false, _) => "∞".to_owned(),
        (true, None) if small => number(mean),
        (true, Some(h)) if small => format!("{} ±\u{a0}{}", number(mean), number(h)),
        (true, None) => format!("{mean:.decimals$}"),
        // A line may break before the sign, not after it.
        (true, Some(h)) => format!("{mean:.decimals$} ±\u{a0}{h:.decimals$}"),
    }
}

/// How many there are of something.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The text with a capital at its beginning.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Text in which backticks mark code, as HTML.
pub(super) fn prose(text: &str) -> String {
    let pieces: Vec<String> = escape(text).split('`').map(str::to_owned).collect();
    // Without a second one a backtick marks nothing.
    if pieces.len().is_multiple_of(2) {
        return pieces.join("`");
    }
    let piece = |(i, piece): (usize, &String)| match i % 2 {
        0 => piece.clone(),
        _ => format!("<code>{piece}</code>"),
    };
    pieces.iter().enumerate().map(piece).collect()
}

/// A name as markup that may be broken after each underscore.
pub(super) fn breakable(name: &str) -> String {
    escape(name).replace('_', "_<wbr/>")
}

/// The colour and dash pattern of series `index`: seven colours, then another pattern.
pub(super) fn style(index: usize) -> String {
    format!("c{} d{}", index % 7, (index / 7 + index % 7) % 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_the_escaping() {
        assert_eq!(
            escape(r#"<a href='x' b="&">"#),
            "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;"
        );
    }

    #[test]
    fn code_is_marked_and_one_is_one() {
        assert_eq!(prose("set `ε < 1` or `lr`"), "set <code>ε &lt; 1</code> or <code>lr</code>");
        assert_eq!(prose("a ` alone"), "a ` alone");
        assert_eq!([count(1, "optimizer"), count(2, "optimizer")], ["1 optimizer", "2 optimizers"]);
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [
            (0.0, "0"),
            (0.125, "0.125"),
            (0.1, "0.1"),
            (20.0, "20"),
            (1234.0, "1234"),
            // Ties go to the even digit, in `axes.js`, too.
            (1012.5, "1012"),
            (1013.5, "1014"),
            (-1012.5, "-1012"),
            (1.125, "1.12"),
            (100_500.0, "10⁵"),
            (101_500.0, "1.02·10⁵"),
            // No tie: it lies above the middle.
            (1.0050000000000001, "1.01"),
            (49_920.0, "49920"),
            (1e-4, "10⁻⁴"),
            (2.5e-6, "2.5·10⁻⁶"),
            (9.999e-7, "10⁻⁶"),
            (f64::INFINITY, "∞"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn values_side_by_side_do_not_read_alike() {
        assert_eq!(apart(&[2.295, 2.3, 2.305]), ["2.295", "2.3", "2.305"]);
        assert_eq!(apart(&[100_000.0, 100_500.0]), ["10⁵", "1.005·10⁵"]);
        assert_eq!(apart(&[0.23119, 0.23147, 0.5]), ["0.2312", "0.2315", "0.5"]);
        assert_eq!(apart(&[2e-14, 2e-14]), ["2·10⁻¹⁴", "2·10⁻¹⁴"]);
        // A value much smaller than the others is no reason for more digits of theirs.
        assert_eq!(apart(&[2.220_446e-14, 3e-20]), ["2.22·10⁻¹⁴", "3·10⁻²⁰"]);
        assert_eq!(apart(&[0.123_456_789, 0.123_456_788]), ["0.123", "0.123"]);
        assert_eq!(apart(&[0.0, 0.5, f64::INFINITY]), ["0", "0.5", "∞"]);
    }

    #[test]
    fn styles_of_the_first_twenty_eight_series_differ() {
        let styles: std::collections::HashSet<String> = (0..28).map(style).collect();
        assert_eq!(styles.len(), 28);
    }
}
