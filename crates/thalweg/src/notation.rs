//! How expressions are written: as plain text, and as LaTeX.

/// How tightly an expression binds, loosest first.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Binding {
    Sum,
    Product,
    Power,
    Atom,
}

/// How one notation writes the parts of an expression.
pub(crate) trait Style {
    fn number(&self, value: f64) -> String;
    fn name(&self, name: &str) -> String;
    fn group(&self, inner: &str) -> String;
    fn minus(&self) -> &'static str;
    fn times(&self) -> &'static str;
    /// Each part both bare and grouped.
    fn fraction(&self, above: (String, String), below: (String, String)) -> String;
    /// The exponent is a single name or number if it is an `atom`.
    fn power(&self, base: &str, exponent: &str, atom: bool) -> String;
    fn root(&self, inner: &str, atom: bool) -> String;
    fn call(&self, name: &str, argument: &str) -> String;
    /// Values with their conditions, and the value otherwise.
    fn cases(&self, cases: &[(String, String)], rest: &str) -> (String, Binding);
}

/// Plain text.
pub(crate) struct Text;

impl Style for Text {
    fn number(&self, value: f64) -> String {
        if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
            format!("{value}").replace('-', "−")
        } else {
            format!("{value:e}").replace('-', "−")
        }
    }
    fn name(&self, name: &str) -> String {
        name.to_owned()
    }
    fn group(&self, inner: &str) -> String {
        format!("({inner})")
    }
    fn minus(&self) -> &'static str {
        "−"
    }
    fn times(&self) -> &'static str {
        "·"
    }
    fn fraction(&self, above: (String, String), below: (String, String)) -> String {
        format!("{} / {}", above.1, below.1)
    }
    fn power(&self, base: &str, exponent: &str, atom: bool) -> String {
        match exponent {
            "t" => format!("{base}ᵗ"),
            "2" => format!("{base}²"),
            "3" => format!("{base}³"),
            _ if atom => format!("{base}^{exponent}"),
            _ => format!("{base}^({exponent})"),
        }
    }
    fn root(&self, inner: &str, atom: bool) -> String {
        if atom { format!("√{inner}") } else { format!("√({inner})") }
    }
    fn call(&self, name: &str, argument: &str) -> String {
        match name {
            "|" => format!("|{argument}|"),
            _ => format!("{name}({argument})"),
        }
    }
    fn cases(&self, cases: &[(String, String)], rest: &str) -> (String, Binding) {
        let cases: Vec<String> =
            cases.iter().map(|(value, condition)| format!("{value} if {condition}")).collect();
        (format!("({} else {rest})", cases.join(" else ")), Binding::Atom)
    }
}

/// LaTeX mathematics.
pub(crate) struct Latex;

/// Greek letters and signs as this crate's symbols use them.
const LATEX_LETTERS: &[(char, &str)] = &[
    ('α', r"\alpha"),
    ('β', r"\beta"),
    ('γ', r"\gamma"),
    ('δ', r"\delta"),
    ('Δ', r"\Delta"),
    ('ε', r"\varepsilon"),
    ('ζ', r"\zeta"),
    ('η', r"\eta"),
    ('θ', r"\theta"),
    ('κ', r"\kappa"),
    ('λ', r"\lambda"),
    ('μ', r"\mu"),
    ('ν', r"\nu"),
    ('ξ', r"\xi"),
    ('π', r"\pi"),
    ('ρ', r"\rho"),
    ('σ', r"\sigma"),
    ('τ', r"\tau"),
    ('φ', r"\varphi"),
    ('χ', r"\chi"),
    ('ψ', r"\psi"),
    ('ω', r"\omega"),
    ('Π', r"\Pi"),
    ('ℓ', r"\ell"),
    ('∞', r"\infty"),
    ('′', "'"),
];

/// Subscripts as this crate's symbols use them.
const LATEX_SUBSCRIPTS: &[(char, char)] = &[
    ('₀', '0'),
    ('₁', '1'),
    ('₂', '2'),
    ('₃', '3'),
    ('₄', '4'),
    ('ₜ', 't'),
    ('₊', '+'),
    ('₋', '-'),
];

/// The hat that stands on the letter before it.
const HAT: char = '\u{302}';

/// A word or a letter, without its index.
fn latex_word(word: &str) -> String {
    if let Some((a, b)) = word.split_once(" mod ") {
        return format!(r"{a} \bmod {b}");
    }
    let letter = |c: char| LATEX_LETTERS.iter().find(|(letter, _)| *letter == c).map(|l| l.1);
    if word.chars().count() > 1 && word.chars().all(|c| c.is_ascii_alphanumeric()) {
        return format!(r"\mathit{{{word}}}");
    }
    let mut latex: Vec<String> = vec![];
    for c in word.chars() {
        match (c, latex.pop()) {
            (HAT, Some(below)) => latex.push(format!(r"\hat{{{below}}}")),
            (_, before) => {
                latex.extend(before);
                latex.push(letter(c).map_or_else(|| c.to_string(), str::to_owned));
            }
        }
    }
    latex.concat()
}

impl Style for Latex {
    fn number(&self, value: f64) -> String {
        let text = if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
            format!("{value}")
        } else {
            format!("{value:e}")
        };
        match text.split_once('e') {
            Some((digits, exponent)) => format!(r"{digits}\cdot 10^{{{exponent}}}"),
            None => text,
        }
    }
    fn name(&self, name: &str) -> String {
        if let Some((base, index)) = name.split_once('_') {
            let index = match index {
                "min" | "max" => format!(r"\{index}"),
                _ => format!(r"\mathrm{{{index}}}"),
            };
            return format!("{}_{{{index}}}", latex_word(base));
        }
        let low = |c: char| LATEX_SUBSCRIPTS.iter().find(|(sign, _)| *sign == c).map(|s| s.1);
        let index: String = name.chars().filter_map(low).collect();
        let base = latex_word(name.trim_end_matches(|c| low(c).is_some()));
        if index.is_empty() { base } else { format!("{base}_{{{index}}}") }
    }
    fn group(&self, inner: &str) -> String {
        format!(r"\left({inner}\right)")
    }
    fn minus(&self) -> &'static str {
        "-"
    }
    fn times(&self) -> &'static str {
        r"\,"
    }
    fn fraction(&self, above: (String, String), below: (String, String)) -> String {
        format!(r"\frac{{{}}}{{{}}}", above.0, below.0)
    }
    fn power(&self, base: &str, exponent: &str, _: bool) -> String {
        // A base that ends in a subscript takes the exponent above it as it is; behind a sum it
        // would look like a part of what is summed.
        let sum = [r"\sum", r"\max_"].iter().any(|sign| base.starts_with(sign));
        if sum {
            format!("{}^{{{exponent}}}", self.group(base))
        } else {
            format!("{base}^{{{exponent}}}")
        }
    }
    fn root(&self, inner: &str, _: bool) -> String {
        format!(r"\sqrt{{{inner}}}")
    }
    fn call(&self, name: &str, argument: &str) -> String {
        match name.split_once('_') {
            Some(("Σ", over)) => format!(r"\sum_{{\text{{{over}}}}}\left({argument}\right)"),
            Some(("max", over)) => format!(r"\max_{{\text{{{over}}}}}\left({argument}\right)"),
            _ => match name {
                "|" => format!(r"\left|{argument}\right|"),
                "exp" | "ln" | "min" | "max" | "sinh" => {
                    format!(r"\{name}\left({argument}\right)")
                }
                _ => format!(r"\operatorname{{{name}}}\left({argument}\right)"),
            },
        }
    }
    fn cases(&self, cases: &[(String, String)], rest: &str) -> (String, Binding) {
        let rows: Vec<String> = cases
            .iter()
            .map(|(value, condition)| format!(r"{value} & \text{{if }} {condition}\\ "))
            .collect();
        let text =
            format!(r"\begin{{cases}}{}{rest} & \text{{otherwise}}\end{{cases}}", rows.concat());
        (text, Binding::Sum)
    }
}
