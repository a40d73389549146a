//! The symbol: a number that records the formula instead of computing it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::hyper::HyperSpec;
use crate::real::Real;

/// A number type that remembers how it was made.
///
/// Running a rule with `Sym` in place of `f32` yields its formula, which [`Formula`] prints as
/// text or LaTeX; so the book and `thalweg list` show what the machine runs, not a transcript.
///
/// Symbols live in a table of the current thread; equal expressions are the same entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sym(u32);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Node {
    Number(u64),
    Name(&'static str),
    Binary(Op, Sym, Sym),
    Call(&'static str, Sym),
    Select(SymMask, Sym, Sym),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
}

/// The comparison `left < right`, recorded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SymMask(Sym, Sym);

#[derive(Default)]
struct Table {
    nodes: Vec<Node>,
    index: HashMap<Node, Sym>,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

impl Sym {
    /// The symbol called `name`.
    pub fn name(name: &'static str) -> Sym {
        Sym::make(Node::Name(name))
    }

    fn make(node: Node) -> Sym {
        TABLE.with_borrow_mut(|table| {
            let next = Sym(table.nodes.len() as u32);
            let entry = *table.index.entry(node).or_insert(next);
            if entry == next {
                table.nodes.push(node);
            }
            entry
        })
    }

    fn node(self) -> Node {
        TABLE.with_borrow(|table| table.nodes[self.0 as usize])
    }

    fn value(self) -> Option<f64> {
        match self.node() {
            Node::Number(bits) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Sym {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Formula::default().text(*self))
    }
}

macro_rules! operator {
    ($trait:ident $method:ident $op:ident $left_neutral:expr, $right_neutral:expr) => {
        impl $trait for Sym {
            type Output = Sym;
            fn $method(self, other: Sym) -> Sym {
                // A chain multiplies by one and adds zero where a hyper-parameter is absent; the
                // reader of the formula should not see that.
                if $right_neutral.is_some() && other.value() == $right_neutral {
                    return self;
                }
                if $left_neutral.is_some() && self.value() == $left_neutral {
                    return other;
                }
                Sym::make(Node::Binary(Op::$op, self, other))
            }
        }
    };
}
operator!(Add add Add Some(0.0), Some(0.0));
operator!(Sub sub Sub None::<f64>, Some(0.0));
operator!(Mul mul Mul Some(1.0), Some(1.0));
operator!(Div div Div None::<f64>, Some(1.0));

impl Neg for Sym {
    type Output = Sym;
    fn neg(self) -> Sym {
        match self.value() {
            Some(v) => Sym::number(-v),
            None => Sym::make(Node::Call("−", self)),
        }
    }
}

impl Real for Sym {
    type Wide = Sym;
    type Mask = SymMask;

    fn lift(constant: Sym) -> Sym {
        constant
    }
    fn widen(self) -> Sym {
        self
    }
    fn number(value: f64) -> Sym {
        Sym::make(Node::Number(value.to_bits()))
    }
    fn hyper(spec: &'static HyperSpec, _: f64) -> Sym {
        Sym::name(spec.symbol)
    }
    fn named(name: &'static str, _: f64) -> Sym {
        Sym::name(name)
    }
    fn lt(self, other: Sym) -> SymMask {
        SymMask(self, other)
    }
    fn select(mask: SymMask, yes: Sym, no: Sym) -> Sym {
        if yes == no { yes } else { Sym::make(Node::Select(mask, yes, no)) }
    }
    fn away_from_zero(self) -> Sym {
        self
    }
    fn sqrt(self) -> Sym {
        Sym::make(Node::Call("√", self))
    }
    fn abs(self) -> Sym {
        Sym::make(Node::Call("|", self))
    }
    fn exp(self) -> Sym {
        Sym::make(Node::Call("exp", self))
    }
    fn ln(self) -> Sym {
        Sym::make(Node::Call("ln", self))
    }
    fn pow(self, exponent: Sym) -> Sym {
        Sym::make(Node::Binary(Op::Pow, self, exponent))
    }
    fn max(self, other: Sym) -> Sym {
        Sym::make(Node::Binary(Op::Max, self, other))
    }
    fn min(self, other: Sym) -> Sym {
        Sym::make(Node::Binary(Op::Min, self, other))
    }
    fn sign(self) -> Sym {
        Sym::make(Node::Call("sign", self))
    }
    fn asinh(self) -> Sym {
        Sym::make(Node::Call("asinh", self))
    }
    fn sinh(self) -> Sym {
        Sym::make(Node::Call("sinh", self))
    }
}

/// Prints symbols, calling those it has been told of by a name of their own.
#[derive(Default, Debug, Clone)]
pub struct Formula {
    known: HashMap<Sym, &'static str>,
}

/// How tightly an expression binds, loosest first.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Sum,
    Product,
    Power,
    Atom,
}

impl Formula {
    /// Writes `symbol` as `name` wherever it occurs from now on.
    pub fn call(&mut self, symbol: Sym, name: &'static str) {
        if !matches!(symbol.node(), Node::Number(_) | Node::Name(_)) {
            self.known.insert(symbol, name);
        }
    }

    /// The expression as plain text.
    pub fn text(&self, symbol: Sym) -> String {
        self.print(symbol, &Text).0
    }

    /// The expression as LaTeX.
    pub fn latex(&self, symbol: Sym) -> String {
        self.print(symbol, &Latex).0
    }

    /// As [`text`](Self::text), expanding `symbol` itself even if it has a name.
    pub fn define_text(&self, symbol: Sym) -> String {
        self.expand(symbol, &Text).0
    }

    /// As [`latex`](Self::latex), expanding `symbol` itself even if it has a name.
    pub fn define_latex(&self, symbol: Sym) -> String {
        self.expand(symbol, &Latex).0
    }

    fn print(&self, symbol: Sym, style: &dyn Style) -> (String, Binding) {
        match self.known.get(&symbol) {
            Some(name) => (style.name(name), Binding::Atom),
            None => self.expand(symbol, style),
        }
    }

    fn expand(&self, symbol: Sym, style: &dyn Style) -> (String, Binding) {
        let at_least = |s: Sym, least: Binding| {
            let (text, binding) = self.print(s, style);
            if binding < least { style.group(&text) } else { text }
        };
        match symbol.node() {
            Node::Number(bits) => {
                let value = f64::from_bits(bits);
                (style.number(value), if value < 0.0 { Binding::Sum } else { Binding::Atom })
            }
            Node::Name(name) => (style.name(name), Binding::Atom),
            Node::Binary(op, a, b) => match op {
                Op::Add => {
                    let (a, b) = (at_least(a, Binding::Sum), at_least(b, Binding::Sum));
                    (format!("{a} + {b}"), Binding::Sum)
                }
                Op::Sub => {
                    let (a, b) = (at_least(a, Binding::Sum), at_least(b, Binding::Product));
                    (format!("{a} {} {b}", style.minus()), Binding::Sum)
                }
                Op::Mul => {
                    let (a, b) = (at_least(a, Binding::Product), at_least(b, Binding::Product));
                    (format!("{a}{}{b}", style.times()), Binding::Product)
                }
                Op::Div => (
                    style.fraction(
                        (self.print(a, style).0, at_least(a, Binding::Product)),
                        (self.print(b, style).0, at_least(b, Binding::Power)),
                    ),
                    Binding::Product,
                ),
                Op::Pow => {
                    let base = at_least(a, Binding::Atom);
                    (style.power(&base, &self.print(b, style).0), Binding::Power)
                }
                Op::Min | Op::Max => {
                    let name = if op == Op::Min { "min" } else { "max" };
                    let arguments =
                        format!("{}, {}", self.print(a, style).0, self.print(b, style).0);
                    (style.call(name, &arguments), Binding::Atom)
                }
            },
            Node::Call("−", a) => {
                (format!("{}{}", style.minus(), at_least(a, Binding::Product)), Binding::Sum)
            }
            Node::Call(name, a) => (style.call(name, &self.print(a, style).0), Binding::Atom),
            Node::Select(SymMask(left, right), yes, no) => {
                let [left, right, yes, no] =
                    [left, right, yes, no].map(|s| self.print(s, style).0);
                (style.cases(&yes, &format!("{left} < {right}"), &no), Binding::Sum)
            }
        }
    }
}

/// How one notation writes the parts of an expression.
trait Style {
    fn number(&self, value: f64) -> String;
    fn name(&self, name: &str) -> String;
    fn group(&self, inner: &str) -> String;
    fn minus(&self) -> &'static str;
    fn times(&self) -> &'static str;
    /// Each part both bare and grouped.
    fn fraction(&self, above: (String, String), below: (String, String)) -> String;
    fn power(&self, base: &str, exponent: &str) -> String;
    fn call(&self, name: &str, argument: &str) -> String;
    fn cases(&self, yes: &str, condition: &str, no: &str) -> String;
}

struct Text;

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
    fn power(&self, base: &str, exponent: &str) -> String {
        if exponent == "t" { format!("{base}ᵗ") } else { format!("{base}^({exponent})") }
    }
    fn call(&self, name: &str, argument: &str) -> String {
        match name {
            "|" => format!("|{argument}|"),
            _ => format!("{name}({argument})"),
        }
    }
    fn cases(&self, yes: &str, condition: &str, no: &str) -> String {
        format!("({yes} if {condition} else {no})")
    }
}

struct Latex;

/// Greek letters and subscripts as this crate's symbols use them.
const LATEX_LETTERS: &[(char, &str)] = &[
    ('α', r"\alpha "),
    ('β', r"\beta "),
    ('γ', r"\gamma "),
    ('δ', r"\delta "),
    ('Δ', r"\Delta "),
    ('ε', r"\varepsilon "),
    ('η', r"\eta "),
    ('θ', r"\theta "),
    ('κ', r"\kappa "),
    ('λ', r"\lambda "),
    ('μ', r"\mu "),
    ('ν', r"\nu "),
    ('ρ', r"\rho "),
    ('σ', r"\sigma "),
    ('τ', r"\tau "),
    ('φ', r"\varphi "),
    ('ℓ', r"\ell "),
    ('∞', r"\infty "),
    ('Σ', r"\textstyle\sum "),
    ('·', r"\,"),
    ('₀', "_0"),
    ('₁', "_1"),
    ('₂', "_2"),
    ('₊', "_+"),
    ('₋', "_-"),
];

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
        let ascii = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ' ');
        if ascii && name.len() > 1 {
            return format!(r"\mathit{{{}}}", name.replace('_', r"\_"));
        }
        let mut out = String::new();
        for c in name.chars() {
            match LATEX_LETTERS.iter().find(|(letter, _)| *letter == c) {
                Some((_, latex)) => {
                    if latex.starts_with('_') {
                        out.truncate(out.trim_end().len());
                    }
                    out.push_str(latex);
                }
                None => out.push(c),
            }
        }
        out.trim_end().to_owned()
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
    fn power(&self, base: &str, exponent: &str) -> String {
        // A base that ends in a subscript takes the exponent above it as it is.
        format!("{base}^{{{exponent}}}")
    }
    fn call(&self, name: &str, argument: &str) -> String {
        match name {
            "√" => format!(r"\sqrt{{{argument}}}"),
            "|" => format!(r"\left|{argument}\right|"),
            "exp" | "ln" | "min" | "max" | "sinh" => format!(r"\{name}\left({argument}\right)"),
            _ => format!(r"\operatorname{{{name}}}\left({argument}\right)"),
        }
    }
    fn cases(&self, yes: &str, condition: &str, no: &str) -> String {
        format!(
            r"\begin{{cases}}{yes} & {condition}\\ {no} & \text{{otherwise}}\end{{cases}}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouping_is_minimal_and_right() {
        let [a, b, c] = ["a", "b", "c"].map(Sym::name);
        let text = |s| Formula::default().text(s);
        assert_eq!(text(a * (b + c)), "a·(b + c)");
        assert_eq!(text(a - (b - c)), "a − (b − c)");
        assert_eq!(text(a / (b * c)), "a / (b·c)");
        assert_eq!(text((a * b) / c), "a·b / c");
        assert_eq!(text(-(a + b)), "−(a + b)");
        assert_eq!(text((a.sqrt() + b).abs()), "|√(a) + b|");
        assert_eq!(Formula::default().latex(Sym::name("β₁") / a), r"\frac{\beta_1}{a}");
    }

    #[test]
    fn a_named_part_is_called_by_its_name() {
        let [a, b] = ["a", "b"].map(Sym::name);
        let mut formula = Formula::default();
        let m = a * b + b;
        formula.call(m, "m");
        assert_eq!(formula.text(m.sqrt()), "√(m)");
        assert_eq!(formula.define_text(m), "a·b + b");
    }
}
