//! Formulas on paper: what a part does, printed from the symbol run.

use std::fmt;

use crate::part::{Join, Part, Scope};
use crate::rule::{At, Flow, Memory, Slot};
use crate::sym::{Formula, Sym};
use crate::real::Real;

/// One line of a formula: `left ← right`.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What is computed, as text.
    pub left: String,
    /// How, as text.
    pub right: String,
    /// The line as LaTeX.
    pub latex: String,
}

/// The formulas of a chain, line by line.
///
/// ```
/// use thalweg::{Chain, rules::{Adam, Scale}};
/// println!("{}", Chain::new((Adam::default(), Scale::default())).formulas());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Page {
    lines: Vec<Line>,
    /// The update as it leaves the last part; none before the first.
    update: Option<Sym>,
    gradient: Option<Sym>,
    formula: Formula,
    geometry: bool,
}

impl Page {
    /// The lines, the last being the parameter's.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = self.lines.clone();
        if !self.geometry {
            let x = Sym::name("x");
            let u = self.update.unwrap_or_else(|| Sym::name("g"));
            lines.push(self.line("x", x - u));
        }
        lines
    }

    /// The page as LaTeX, an `aligned` block.
    pub fn latex(&self) -> String {
        let lines: Vec<String> = self.lines().into_iter().map(|l| l.latex).collect();
        format!("\\begin{{aligned}}\n{}\n\\end{{aligned}}", lines.join(" \\\\\n"))
    }

    fn line(&self, name: &'static str, symbol: Sym) -> Line {
        Line {
            left: name.to_owned(),
            right: self.formula.define_text(symbol),
            latex: format!(
                "{} &\\leftarrow {}",
                self.formula.latex(Sym::name(name)),
                self.formula.define_latex(symbol)
            ),
        }
    }

    /// Adds a line and calls its right side by its name from now on.
    fn define(&mut self, name: &'static str, symbol: Sym) {
        if symbol != Sym::name(name) {
            let line = self.line(name, symbol);
            self.lines.push(line);
            self.formula.call(symbol, name);
        }
    }

    /// Adds the lines of one part.
    pub(crate) fn part<P: Part>(&mut self, part: &P, geometry: bool) {
        let at = At::<Sym>::new(2, 1);
        let g = self.gradient.unwrap_or_else(|| Sym::name("g"));
        let flow = Flow { u: self.update.unwrap_or(g), g, x: Sym::name("x") };
        let slots = part.slots();
        let memory: P::Memory<Sym> = named(&slots);
        let mut scalars: P::Scalars<Sym> = named(P::SCALARS);
        for pass in 0..P::PASSES {
            let terms = part.terms(&at, pass, scalars)(flow.u, crate::rule::Here { g: flow.g, x: flow.x }, memory);
            let mut k = 0;
            let mut sums = vec![];
            terms.store(&mut |term: Sym| {
                sums.push(self.sum::<P>(k, pass, term));
                k += 1;
            });
            let mut sums = sums.into_iter();
            let sums = P::Terms::load(&mut || sums.next().expect("a sum for each term"));
            scalars = part.settle(&at, pass, sums, scalars);
            let mut k = 0;
            scalars.store(&mut |value: Sym| {
                self.define(P::SCALARS[k].symbol, value);
                k += 1;
            });
            scalars = named(P::SCALARS);
        }
        let (after, memory) = part.flow(&at, scalars)(flow, memory);
        let mut k = 0;
        memory.store(&mut |value: Sym| {
            self.define(slots[k].symbol, value);
            k += 1;
        });
        if after.g != flow.g {
            self.define("g", after.g);
            self.gradient = Some(Sym::name("g"));
        }
        let u = if after.u == after.g && after.g != flow.g { Sym::name("g") } else { after.u };
        self.update = Some(u);
        if geometry {
            let line = self.line("x", after.u);
            self.lines.push(line);
            self.geometry = true;
        }
    }

    fn sum<P: Part>(&mut self, k: usize, pass: usize, term: Sym) -> Sym {
        if term == Sym::number(0.0) {
            return term;
        }
        const NAMES: [[&str; 4]; 3] =
            [["a", "b", "c", "d"], ["a₂", "b₂", "c₂", "d₂"], ["a₃", "b₃", "c₃", "d₃"]];
        let name = NAMES[pass.min(2)][k.min(3)];
        let over = match P::SCOPE {
            Scope::Tensor => "tensor",
            Scope::Group => "group",
        };
        let how = if P::JOIN[k] == Join::Sum { "sum" } else { "largest" };
        let (text, latex) = (self.formula.text(term), self.formula.latex(term));
        let operator = if P::JOIN[k] == Join::Sum { r"\sum" } else { r"\max" };
        self.lines.push(Line {
            left: name.to_owned(),
            right: format!("{how} over the {over} of {text}"),
            latex: format!(
                r"{} &\leftarrow {operator}_{{\text{{{over}}}}} {latex}",
                self.formula.latex(Sym::name(name))
            ),
        });
        Sym::name(name)
    }
}

/// A memory of named symbols.
fn named<M: Memory<Sym>>(slots: &[Slot]) -> M {
    let mut slots = slots.iter();
    M::load(&mut || Sym::name(slots.next().expect("a name for each value").symbol))
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { left, right, .. } in self.lines() {
            writeln!(f, "{left} ← {right}")?;
        }
        Ok(())
    }
}
