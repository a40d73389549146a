//! Symbols written down, as text or LaTeX.

use std::collections::HashMap;

use super::{Node, Op, Sym, SymMask};
use crate::notation::{Binding, Latex, Style, Text};
use crate::real::Real;

/// Prints symbols, calling those it has been told of by a name of their own.
#[derive(Default, Debug, Clone)]
pub struct Formula {
    known: HashMap<Sym, &'static str>,
}

impl Formula {
    /// Writes `symbol` as `name` wherever it occurs from now on.
    pub fn call(&mut self, symbol: Sym, name: &'static str) {
        if !symbol.is_plain() {
            self.known.retain(|_, other| *other != name);
            self.known.insert(symbol, name);
        }
    }

    /// Writes `symbol` as `value` is written, if that is a name.
    pub(crate) fn call_as(&mut self, symbol: Sym, value: Sym) -> bool {
        let name = match value.node() {
            Node::Name(name) => Some(name),
            _ => self.known.get(&value).copied(),
        };
        name.map(|name| self.known.insert(symbol, name)).is_some()
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

    /// Whether `symbol` is written with `name`, if `also` is called so too.
    pub(crate) fn mentions(&self, symbol: Sym, name: &'static str, also: Option<Sym>) -> bool {
        symbol.any(&|s| Some(s) == also || self.known.contains_key(&s), &|s| {
            Some(s) != also
                && match s.node() {
                    Node::Name(other) => other == name,
                    _ => self.known.get(&s) == Some(&name),
                }
        })
    }

    /// Whether `symbol` is made with `part`.
    pub(crate) fn contains(&self, symbol: Sym, part: Sym) -> bool {
        symbol.any(&|s| self.known.contains_key(&s), &|s| s == part)
    }

    /// The largest parts of `symbol` that `wanted` holds for.
    pub(crate) fn largest(&self, symbol: Sym, wanted: &dyn Fn(Sym) -> bool) -> Option<Sym> {
        if symbol.is_plain() || self.known.contains_key(&symbol) {
            return None;
        }
        if wanted(symbol) {
            return Some(symbol);
        }
        symbol.children().into_iter().find_map(|s| self.largest(s, wanted))
    }

    /// A named part of `symbol` that has no line yet, innermost first, with its definition.
    pub(crate) fn undefined(&self, symbol: Sym) -> Option<(&'static str, Sym, Sym)> {
        if self.known.contains_key(&symbol) {
            return None;
        }
        let inside = symbol.children().into_iter().find_map(|s| self.undefined(s));
        inside.or_else(|| match symbol.node() {
            Node::Let(name, value) => Some((name, symbol, value)),
            _ => None,
        })
    }

    /// The expression with the cases of one condition gathered.
    pub(crate) fn tidy(&self, symbol: Sym) -> Sym {
        let named = |s: Sym| matches!(s.node(), Node::Let(..)) || self.known.contains_key(&s);
        if self.known.contains_key(&symbol) { symbol } else { symbol.gathered_cases(&named) }
    }

    fn print(&self, symbol: Sym, style: &dyn Style) -> (String, Binding) {
        match self.known.get(&symbol) {
            Some(name) => (style.name(name), Binding::Atom),
            None => self.expand(symbol, style),
        }
    }

    /// The expression, in brackets if it binds less tightly than `least`.
    fn at_least(&self, symbol: Sym, least: Binding, style: &dyn Style) -> String {
        let (text, binding) = self.print(symbol, style);
        if binding < least { style.group(&text) } else { text }
    }

    fn expand(&self, symbol: Sym, style: &dyn Style) -> (String, Binding) {
        let at_least = |s: Sym, least: Binding| self.at_least(s, least, style);
        let list = |all: &[Sym]| {
            all.iter().map(|s| self.print(*s, style).0).collect::<Vec<_>>().join(", ")
        };
        match symbol.node() {
            Node::Number(bits) => {
                let value = f64::from_bits(bits);
                (style.number(value), if value < 0.0 { Binding::Sum } else { Binding::Atom })
            }
            Node::Name(name) => (style.name(name), Binding::Atom),
            Node::Let(_, value) => self.print(value, style),
            Node::Binary(op, a, b) => match op {
                Op::Add => {
                    let (a, b) = (at_least(a, Binding::Sum), at_least(b, Binding::Sum));
                    (format!("{a} + {b}"), Binding::Sum)
                }
                Op::Sub => {
                    let (a, b) = (at_least(a, Binding::Sum), at_least(b, Binding::Product));
                    (format!("{a} {} {b}", style.minus()), Binding::Sum)
                }
                Op::Mul | Op::Div => self.product(symbol, style),
                Op::Pow => {
                    let base = at_least(a, Binding::Atom);
                    let (exponent, binding) = self.print(b, style);
                    (style.power(&base, &exponent, binding == Binding::Atom), Binding::Power)
                }
                Op::Min
                    if let Node::Binary(Op::Max, value, low) = a.node()
                        && !self.known.contains_key(&a) =>
                {
                    (style.call("clamp", &list(&[value, low, b])), Binding::Atom)
                }
                Op::Min => (style.call("min", &list(&[a, b])), Binding::Atom),
                Op::Max => (style.call("max", &list(&[a, b])), Binding::Atom),
            },
            Node::Call("−", a) => {
                (format!("{}{}", style.minus(), at_least(a, Binding::Product)), Binding::Sum)
            }
            Node::Call("√", a) => {
                let (text, binding) = self.print(a, style);
                (style.root(&text, binding == Binding::Atom), Binding::Atom)
            }
            Node::Call(name, a) => (style.call(name, &self.print(a, style).0), Binding::Atom),
            Node::Select(..) => {
                let (mut cases, mut rest) = (vec![], symbol);
                while let Node::Select(SymMask(left, right), yes, no) = rest.node()
                    && (rest == symbol || !self.known.contains_key(&rest))
                {
                    let [left, right, yes] = [left, right, yes].map(|s| self.print(s, style).0);
                    cases.push((yes, format!("{left} < {right}")));
                    rest = no;
                }
                style.cases(&cases, &self.print(rest, style).0)
            }
        }
    }

    /// A product as one fraction, with powers: `a·(1/b)·c·c` is `a·c² / b`.
    fn product(&self, symbol: Sym, style: &dyn Style) -> (String, Binding) {
        let mut sides = [vec![], vec![]];
        self.factors(symbol, true, 0, &mut sides);
        let [above, below] = sides.map(|side| {
            let texts: Vec<String> = side
                .iter()
                .map(|(factor, count)| match count {
                    1 if side.len() == 1 => self.at_least(*factor, Binding::Product, style),
                    1 => self.at_least(*factor, Binding::Power, style),
                    _ => {
                        let base = self.at_least(*factor, Binding::Atom, style);
                        style.power(&base, &count.to_string(), true)
                    }
                })
                .collect();
            // A lone factor knows whether it needs brackets under a fraction.
            let lone = (side.len() == 1).then(|| self.print(side[0].0, style));
            let bare = match (&lone, side.first()) {
                (Some((text, _)), Some((_, 1))) => text.clone(),
                _ => texts.join(style.times()),
            };
            let binding = match (lone, side.first()) {
                (Some((_, binding)), Some((_, 1))) => binding,
                (Some(_), _) => Binding::Power,
                _ => Binding::Product,
            };
            (texts.join(style.times()), bare, binding)
        });
        if below.0.is_empty() {
            return (above.0, Binding::Product);
        }
        let above =
            if above.0.is_empty() { ("1".to_owned(), "1".to_owned()) } else { (above.1, above.0) };
        let grouped = if below.2 < Binding::Power { style.group(&below.1) } else { below.0 };
        (style.fraction(above, (below.1, grouped)), Binding::Product)
    }

    /// Sorts the factors of a product into those above and those below the line, each with how
    /// often it occurs.
    fn factors(&self, symbol: Sym, top: bool, below: usize, sides: &mut [Vec<(Sym, u32)>; 2]) {
        let named = self.known.contains_key(&symbol) && !top;
        let one = Sym::number(1.0);
        match symbol.node() {
            Node::Binary(Op::Mul, a, b) if !named => {
                self.factors(a, false, below, sides);
                self.factors(b, false, below, sides);
            }
            Node::Binary(Op::Div, a, b) if !named => {
                self.factors(a, false, below, sides);
                self.factors(b, false, 1 - below, sides);
            }
            Node::Call("√", a)
                if !named
                    && !self.known.contains_key(&a)
                    && let Node::Binary(Op::Div, above, under) = a.node()
                    && above == one =>
            {
                self.factors(under.sqrt(), false, 1 - below, sides);
            }
            _ if symbol == one => {}
            _ => match sides[below].iter().position(|(factor, _)| *factor == symbol) {
                // The square of a root is what is under it.
                Some(place)
                    if let Node::Call("√", a) = symbol.node()
                        && !named
                        && sides[below][place].1 == 1 =>
                {
                    sides[below].remove(place);
                    self.factors(a, false, below, sides);
                }
                Some(place) => sides[below][place].1 += 1,
                None => sides[below].push((symbol, 1)),
            },
        }
    }
}
