//! The symbol: a number that records the formula instead of computing it.

mod printer;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::hyper::HyperSpec;
use crate::real::Real;
pub use printer::Formula;

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
    /// An expression with a name, which a [`Page`](crate::Page) gives a line of its own.
    Let(&'static str, Sym),
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
    names: HashSet<&'static str>,
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

    /// A name that was made, for as long as the program runs; the same text is kept once.
    pub(crate) fn intern(name: String) -> &'static str {
        TABLE.with_borrow_mut(|table| match table.names.get(name.as_str()) {
            Some(known) => known,
            None => {
                let kept: &'static str = Box::leak(name.into_boxed_str());
                table.names.insert(kept);
                kept
            }
        })
    }

    fn node(self) -> Node {
        TABLE.with_borrow(|table| table.nodes[self.0 as usize])
    }

    /// A number gathered over a tensor or a group: `Σ_tensor(term)`.
    pub(crate) fn gathered(how: &'static str, term: Sym) -> Sym {
        if term.value() == Some(0.0) { term } else { Sym::make(Node::Call(how, term)) }
    }

    /// Whether it is a name or a number and nothing more.
    pub(crate) fn is_plain(self) -> bool {
        matches!(self.node(), Node::Number(_) | Node::Name(_))
    }

    /// The expressions it is made of.
    fn children(self) -> Vec<Sym> {
        match self.node() {
            Node::Number(_) | Node::Name(_) => vec![],
            Node::Binary(_, a, b) => vec![a, b],
            Node::Call(_, a) | Node::Let(_, a) => vec![a],
            Node::Select(SymMask(a, b), yes, no) => vec![a, b, yes, no],
        }
    }

    /// Whether `found` holds for it or for a part of it; parts where `stop` holds are not entered.
    fn any(self, stop: &dyn Fn(Sym) -> bool, found: &dyn Fn(Sym) -> bool) -> bool {
        let (mut seen, mut left) = (HashSet::new(), vec![self]);
        while let Some(symbol) = left.pop() {
            if found(symbol) {
                return true;
            }
            if !stop(symbol) && seen.insert(symbol) {
                left.extend(symbol.children());
            }
        }
        false
    }

    /// The same expression with `change` applied to its parts, innermost first.
    fn rebuilt(self, change: &dyn Fn(Sym) -> Sym) -> Sym {
        let again = |s: Sym| s.rebuilt(change);
        change(match self.node() {
            Node::Number(_) | Node::Name(_) => self,
            Node::Binary(op, a, b) => {
                let (a, b) = (again(a), again(b));
                match op {
                    Op::Add => a + b,
                    Op::Sub => a - b,
                    Op::Mul => a * b,
                    Op::Div => a / b,
                    Op::Pow => a.pow(b),
                    Op::Min => a.min(b),
                    Op::Max => a.max(b),
                }
            }
            Node::Call("−", a) => -again(a),
            Node::Call(name, a) => Sym::make(Node::Call(name, again(a))),
            Node::Select(SymMask(a, b), yes, no) => {
                Sym::select(SymMask(again(a), again(b)), again(yes), again(no))
            }
            Node::Let(name, a) => again(a).called(name),
        })
    }

    /// The same with the cases of one condition gathered in one place: `(1 if c else a)·b + (0 if
    /// c else d)` is `b if c else a·b + d`.
    fn gathered_cases(self, named: &dyn Fn(Sym) -> bool) -> Sym {
        let Node::Binary(op, a, b) = self.node() else { return self };
        let masks = |side: Sym| {
            let mut masks = vec![];
            let mut left = vec![side];
            while let Some(symbol) = left.pop() {
                if named(symbol) {
                    continue;
                }
                if let Node::Select(mask, ..) = symbol.node() {
                    masks.push(mask);
                }
                left.extend(symbol.children());
            }
            masks
        };
        let right = masks(b);
        match masks(a).into_iter().find(|mask| right.contains(mask)) {
            Some(mask) => {
                let take = |first: bool| {
                    self.rebuilt(&|s| match s.node() {
                        Node::Select(m, yes, no) if m == mask => {
                            if first {
                                yes
                            } else {
                                no
                            }
                        }
                        _ => s,
                    })
                };
                Sym::select(mask, take(true), take(false))
            }
            None => Sym::make(Node::Binary(op, a.gathered_cases(named), b.gathered_cases(named))),
        }
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
                let nothing = [self, other].iter().any(|s| s.value() == Some(0.0));
                if Op::$op == Op::Mul && nothing {
                    return Sym::number(0.0);
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
    fn called(self, name: &'static str) -> Sym {
        Sym::make(Node::Let(name, self))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(symbol: Sym) -> String {
        Formula::default().text(symbol)
    }

    fn latex(symbol: Sym) -> String {
        Formula::default().latex(symbol)
    }

    #[test]
    fn grouping_is_minimal_and_right() {
        let [a, b, c] = ["a", "b", "c"].map(Sym::name);
        assert_eq!(text(a * (b + c)), "a·(b + c)");
        assert_eq!(text(a - (b - c)), "a − (b − c)");
        assert_eq!(text(a / (b * c)), "a / (b·c)");
        assert_eq!(text((a * b) / c), "a·b / c");
        assert_eq!(text(-(a + b)), "−(a + b)");
        assert_eq!(text((a.sqrt() + b).abs()), "|√a + b|");
        assert_eq!(text((a + b).sqrt()), "√(a + b)");
        assert_eq!(text(a * -b), "a·(−b)");
        assert_eq!(text((a + b) / c), "(a + b) / c");
        assert_eq!(latex((a + b) / c), r"\frac{a + b}{c}");
        assert_eq!(text((a / b).pow(c)), "(a / b)^c");
        assert_eq!(text(a.pow(b - c)), "a^(b − c)");
        assert_eq!(latex(Sym::name("β₁") / a), r"\frac{\beta_{1}}{a}");
    }

    #[test]
    fn a_product_is_one_fraction_with_powers() {
        let [a, b, c] = ["a", "b", "c"].map(Sym::name);
        let one = Sym::number(1.0);
        // Text has no bar: a second factor after a slash would be ambiguous.
        assert_eq!(text(a * (one / (b - c)) * c), "a·c / (b − c)");
        assert_eq!(text(a / (b / c)), "a·c / b");
        assert_eq!(text(one / (a * a)), "1 / a²");
        assert_eq!(text((a - b) * (a - b)), "(a − b)²");
        assert_eq!(latex(a * b * b / c), r"\frac{a\,b^{2}}{c}");
        // A corrected denominator is written above the line, as papers do.
        assert_eq!(text(a / (b * (one / c).sqrt())), "a·√c / b");
        assert_eq!(text(a * b.sqrt() * b.sqrt()), "a·b");
    }

    #[test]
    fn limits_and_cases() {
        let [a, b, c] = ["a", "b", "c"].map(Sym::name);
        let zero = Sym::number(0.0);
        assert_eq!(text(a.clamp(-c, c)), "clamp(a, −c, c)");
        let three = Sym::select(zero.lt(a), b, Sym::select(a.lt(zero), c, zero));
        assert_eq!(text(b * three), "b·(b if 0 < a else c if a < 0 else 0)");
        assert_eq!(
            latex(three),
            r"\begin{cases}b & \text{if } 0 < a\\ c & \text{if } a < 0\\ 0 & \text{otherwise}\end{cases}"
        );
        let (one, early) = (Sym::number(1.0), a.lt(b));
        let u = Sym::select(early, one, c) * a
            / (Sym::select(early, zero, one) * b + Sym::select(early, one, zero));
        assert_eq!(text(Formula::default().tidy(u)), "(a if a < b else c·a / b)");
    }

    #[test]
    fn names_in_latex() {
        let names = ["ν_min", "η_peak", "v_max", "sum₀", "φ₊", "buf", "x", "ℓ", "β̂₂"];
        let want = [
            r"\nu_{\min}",
            r"\eta_{\mathrm{peak}}",
            r"v_{\max}",
            r"\mathit{sum}_{0}",
            r"\varphi_{+}",
            r"\mathit{buf}",
            "x",
            r"\ell",
            r"\hat{\beta}_{2}",
        ];
        assert_eq!(names.map(|n| latex(Sym::name(n))), want);
    }

    #[test]
    fn a_named_part_is_called_by_its_name() {
        let [a, b] = ["a", "b"].map(Sym::name);
        let mut formula = Formula::default();
        let m = a * b + b;
        formula.call(m, "m");
        assert_eq!(formula.text(m.sqrt()), "√m");
        assert_eq!(formula.define_text(m), "a·b + b");
    }
}
