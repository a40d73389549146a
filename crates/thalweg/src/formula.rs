//! Formulas on paper: what a part does, printed from the symbol run.

use std::fmt;

use crate::part::{Join, Part, Scope, Supply};
use crate::rule::{At, Flow, Here, Memory, Slot};
use crate::sym::{Formula, Sym};

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
/// Read from top to bottom: a name to the right of an arrow has the value of the last line that
/// gave it one, or what was remembered from the step before. `Σ_tensor(…)` is the sum over the
/// coordinates of a tensor, `Σ_group(…)` over those of all tensors of the group. The constants
/// are folded into fractions and powers; rounding aside, it is what the machine computes.
///
/// ```
/// use thalweg::{Chain, rules::{Adam, Scale}};
/// let page = Chain::new((<Adam>::default(), Scale::default())).formulas();
/// assert_eq!(page.lines()[0].right, "β₁·m + (1 − β₁)·g");
/// println!("{page}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Page {
    lines: Vec<Line>,
    /// The names of slots and scalars so far.
    names: Vec<&'static str>,
    /// The update as it leaves the last part; none before the first.
    update: Option<Sym>,
    gradient: Option<Sym>,
    formula: Formula,
    geometry: bool,
    /// Where the parameter is evaluated, if elsewhere than where it is trained.
    view: Option<Sym>,
}

impl Page {
    /// The lines, the last being the parameter's, or where it is evaluated if that is elsewhere.
    pub fn lines(&self) -> Vec<Line> {
        let mut page = self.clone();
        if !page.geometry {
            let x = Sym::name("x");
            page.define("x", x - page.update.unwrap_or_else(|| Sym::name("g")));
        }
        if let Some(view) = page.view {
            page.define("x_eval", view);
        }
        page.lines
    }

    /// The page as LaTeX, an `aligned` block.
    pub fn latex(&self) -> String {
        let lines: Vec<String> = self.lines().into_iter().map(|l| l.latex).collect();
        format!("\\begin{{aligned}}\n{}\n\\end{{aligned}}", lines.join(" \\\\\n"))
    }

    fn line(&self, name: &'static str, symbol: Sym) -> Line {
        let symbol = self.formula.tidy(symbol);
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
        if symbol == Sym::name(name) {
            return;
        }
        while let Some((part, whole, value)) = self.formula.undefined(symbol) {
            if !self.formula.call_as(whole, value) {
                let line = self.line(part, value);
                self.lines.push(line);
                self.formula.call(whole, part);
            }
        }
        let line = self.line(name, symbol);
        self.lines.push(line);
        self.formula.call(symbol, name);
    }

    /// Adds a line for each of `values`, in an order in which every name means what it says: a
    /// line that reads the old value of a name comes before the one that replaces it. Where no
    /// order does, and for `last`, which comes after all of them, what is needed of the old value
    /// is given the name `u` first.
    fn define_all(&mut self, mut values: Vec<(&'static str, Sym)>, last: Sym) {
        values.retain(|(name, value)| *value != Sym::name(name));
        while !values.is_empty() {
            let read = |k: usize, name, value| {
                let later = values.iter().enumerate().filter(|(j, _)| *j != k);
                let later = later.map(|(_, (_, v))| *v).chain([last]);
                later.filter(|v| self.formula.mentions(*v, name, Some(value))).collect::<Vec<_>>()
            };
            let ready = |k: &usize| {
                let made_of = |other: &(&str, Sym)| {
                    let part = !other.1.is_plain() && other.1 != values[*k].1;
                    part && self.formula.contains(values[*k].1, other.1)
                };
                !values.iter().any(made_of)
            };
            let free = |k: &usize| read(*k, values[*k].0, values[*k].1).is_empty();
            let order: Vec<usize> = (0..values.len()).filter(ready).collect();
            match order.iter().copied().find(free) {
                Some(k) => {
                    let (name, value) = values.remove(k);
                    self.define(name, value);
                }
                None => {
                    let k = order.first().copied().unwrap_or(0);
                    let (name, value) = values[k];
                    let reader = read(k, name, value)[0];
                    let old = |s: Sym| self.formula.mentions(s, name, None);
                    // Best a part that the new value is made of as well.
                    let shared = self
                        .formula
                        .largest(reader, &|s| old(s) && self.formula.contains(value, s))
                        .unwrap_or(reader);
                    let spare = self.fresh("u");
                    self.define(spare, shared);
                    if shared == value {
                        break;
                    }
                }
            }
        }
    }

    /// `name`, with as many primes as make it new on this page.
    fn fresh(&self, name: &'static str) -> &'static str {
        let mut fresh = name;
        while self.names.contains(&fresh) || self.lines.iter().any(|l| l.left == fresh) {
            fresh = Sym::intern(format!("{fresh}′"));
        }
        fresh
    }

    /// Names for slots or scalars, none of which stands on this page for something else.
    fn names(&mut self, slots: &[Slot]) -> Vec<&'static str> {
        let mut names = vec![];
        for slot in slots {
            let name = self.fresh(slot.symbol);
            self.names.push(name);
            names.push(name);
        }
        names
    }

    /// Adds the lines of one part.
    pub(crate) fn part<P: Part>(&mut self, part: &P, geometry: bool) {
        let at = At::<Sym>::new(2, 1);
        let g = self.gradient.unwrap_or_else(|| Sym::name("g"));
        let here = Here { g, x: Sym::name("x") };
        let u = self.update.unwrap_or(g);
        let globals = self.names(P::SCALARS);
        let slots = match P::SUPPLY {
            Supply::State => self.names(&part.slots()),
            Supply::Row => globals.clone(),
            Supply::Noise => vec![self.fresh("ξ")],
        };
        let memory: P::Memory<Sym> = named(&slots);
        let with_memory = memory;
        let scalars: P::Scalars<Sym> = named(&globals);
        for pass in 0..P::PASSES {
            let terms = part.terms(&at, pass, scalars)(u, here, memory);
            let mut joins = P::JOIN.iter();
            let mut sums = vec![];
            terms.store(&mut |term: Sym| {
                sums.push(gathered::<P>(joins.next().copied().unwrap_or(Join::Sum), term));
            });
            let mut sums = sums.into_iter();
            let sums = P::Terms::load(&mut || sums.next().expect("a sum for each term"));
            let settled = with_names(&globals, part.settle(&at, pass, sums, scalars));
            self.define_all(settled, u);
        }
        let flow = Flow { u: self.update.unwrap_or(g), g, x: here.x };
        let (after, memory) = part.flow(&at, scalars)(flow, memory);
        let mut values = with_names(&slots, memory);
        if after.g != flow.g {
            values.insert(0, ("g", after.g));
        }
        self.define_all(values, after.u);
        if after.g != flow.g {
            self.gradient = Some(after.g);
        }
        self.update = Some(after.u);
        if P::HAS_VIEW {
            self.view = Some(part.view(&at, scalars)(here.x, with_memory));
        }
        if geometry {
            self.define("x", after.u);
            self.geometry = true;
        }
    }
}

/// What a part gathers of `term`.
fn gathered<P: Part>(join: Join, term: Sym) -> Sym {
    let how = match (join, P::SCOPE) {
        (Join::Sum, Scope::Tensor) => "Σ_tensor",
        (Join::Sum, Scope::Group) => "Σ_group",
        (Join::Sum, Scope::Groups) => "Σ_groups",
        (Join::Sum, Scope::Row) => "Σ_row",
        (Join::Max, Scope::Row) => "max_row",
        (Join::Max, Scope::Tensor) => "max_tensor",
        (Join::Max, Scope::Group) => "max_group",
        (Join::Max, Scope::Groups) => "max_groups",
    };
    Sym::gathered(how, term)
}

/// A memory with the name of each value.
fn with_names<M: Memory<Sym>>(names: &[&'static str], memory: M) -> Vec<(&'static str, Sym)> {
    let mut names = names.iter();
    let mut all = vec![];
    memory.store(&mut |value| all.push((*names.next().expect("a name for each value"), value)));
    all
}

/// A memory of named symbols.
fn named<M: Memory<Sym>>(names: &[&'static str]) -> M {
    let mut names = names.iter();
    M::load(&mut || Sym::name(names.next().expect("a name for each value")))
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { left, right, .. } in self.lines() {
            writeln!(f, "{left} ← {right}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::registry;

    fn page(name: &str) -> String {
        (registry::get(name).expect("an optimizer").chain)().formulas().to_string()
    }

    #[test]
    fn a_gradient_that_is_redefined_comes_first() {
        let lines = page("adam_l2");
        assert!(lines.starts_with("g ← g + λ·x\nm ← β₁·m + (1 − β₁)·g\n"), "{lines}");
    }

    #[test]
    fn an_old_value_is_read_before_it_is_replaced() {
        // The update of AdaDelta needs the old Δ, and the new Δ needs the update.
        let lines = page("adadelta");
        let want = "u ← √((Δ + ε) / (v + ε))·g\nΔ ← ρ·Δ + (1 − ρ)·u²\nx ← x − η·u\n";
        assert!(lines.ends_with(want), "{lines}");
        assert!(page("meta_egd").starts_with("ℓ ← "), "the gain reads the old direction");
    }

    #[test]
    fn named_parts_have_a_line() {
        let lines = page("adabelief_rectified");
        assert!(lines.contains("N_max ← 2 / (1 − β₂) − 1\n"), "{lines}");
        assert!(
            lines.ends_with("x ← x − η·(m / (1 − β₁ᵗ) if N < 5 else r·m / ((1 − β₁ᵗ)·(√s + ε)))\n")
        );
    }

    #[test]
    fn what_has_a_name_gets_no_second_one() {
        use crate::rules::{Cautious, Momentum, Scale};
        let mask = crate::Chain::new(Momentum::default()).fold(Cautious::default());
        let lines = mask.then(Scale::default()).formulas().to_string();
        assert!(lines.contains("if 0 < sign(buf)·sign(g)") && !lines.contains("u ←"), "{lines}");
    }

    #[test]
    fn equal_slots_have_different_names() {
        use crate::rules::{Momentum, Scale};
        let twice = crate::Chain::new((Momentum::default(), Momentum::default(), Scale::default()));
        let want = "buf ← μ·buf + (1 − d)·g\nbuf′ ← μ·buf′ + (1 − d)·buf\nx ← x − η·buf′\n";
        assert_eq!(twice.formulas().to_string(), want);
    }

    #[test]
    fn every_formula_is_unambiguous() {
        for entry in registry::all() {
            for line in (entry.chain)().formulas().lines() {
                let open = |s: &str, c: char| s.matches(c).count();
                assert_eq!(open(&line.right, '('), open(&line.right, ')'), "{}", line.right);
                assert_eq!(open(&line.latex, '{'), open(&line.latex, '}'), "{}", line.latex);
                // A product goes on after a slash only inside brackets.
                for (at, _) in line.right.match_indices(" / ") {
                    let rest: String = line.right[at + 3..].chars().collect();
                    let mut depth = 0;
                    for c in rest.chars() {
                        match c {
                            '(' => depth += 1,
                            ')' if depth == 0 => break,
                            ')' => depth -= 1,
                            ' ' | ',' if depth == 0 => break,
                            '·' => assert!(depth > 0, "{}: {}", entry.name, line.right),
                            _ => {}
                        }
                    }
                }
            }
        }
    }
}
