//! Findings about single parameters.

use super::course::remembered;
use super::finding::{Finding, Kind, Severity};
use super::record::{Gains, Layer, Probe};
use super::rules::{Rule, percent};

/// How a run goes, which decides what its signs mean.
pub(super) struct Way {
    /// The largest learning rate.
    pub(super) peak: f64,
    /// The last probe before a schedule makes steps short.
    pub(super) until: usize,
    /// Whether gradients keep a direction at the minimum.
    pub(super) bounded: bool,
    /// Whether the loss still falls, and with it what the run is judged by.
    pub(super) underway: bool,
    /// Whether it falls fast.
    pub(super) fast: bool,
}

/// What the probes of one parameter show.
pub(super) fn layer_findings(series: &[(&Probe, &Layer)], way: &Way, findings: &mut Vec<Finding>) {
    let Some((_, last)) = series.last() else { return };
    let name = last.parameter.as_str();
    let judge = |rule: &Rule<'_>, f: &dyn Fn(&Probe, &Layer) -> Option<f64>| {
        let values: Vec<_> = series.iter().map(|(p, l)| (p.step, f(p, l))).collect();
        rule.judge(Some(name), &values)
    };
    let at_work = |f: &dyn Fn(&Layer) -> Option<f64>| -> Vec<_> {
        let series = series.iter().take_while(|(p, _)| p.step <= way.until);
        series.map(|(p, l)| (p.step, f(l))).collect()
    };
    findings.extend(dead(series));
    // Momentum that is full of gradients long gone points against those of today, and does no harm while the
    // loss falls fast.
    let harmless = |rule: &Row| way.fast && rule.kind == Kind::MomentumOpposed;
    for (rule, of) in direction_rules(last.gains).iter().filter(|(rule, _)| !harmless(rule)) {
        findings.extend(rule.as_rule().judge(Some(name), &at_work(of)));
    }
    // A gradient that never turns drives its gain up, and where a bound stops the step that is no call for more.
    let idle = |rule: &Row| way.bounded && rule.kind == Kind::GainsAtUpperBound;
    let rules = gain_rules().into_iter().chain(state_rules());
    for (rule, of) in rules.filter(|(rule, _)| !idle(rule)) {
        findings.extend(judge(&rule.as_rule(), &|_, l| of(l)));
    }
    if way.underway {
        findings.extend(judge(&stale().as_rule(), &|_, l| remembered(l)));
    }
    if last.untouched < 1.0 {
        findings.extend(judge(&vanished().as_rule(), &|_, l| Some(l.gradient_norm)));
    }
    // Matrices only: a bias that starts at zero has no size to compare with.
    if last.axes >= 2 && last.untouched < 1.0 {
        // Without a gradient a step is short whatever the rate.
        let size = |l: &Layer| {
            let moves = l.weight_norm > 0.0 && l.gradient_norm > 0.0;
            moves.then(|| l.update_norm / l.weight_norm)
        };
        findings.extend(large().as_rule().judge(Some(name), &at_work(&size)));
        findings.extend(judge(&small().as_rule(), &|p, l| {
            let schedule = p.lr.filter(|lr| *lr > 0.0).map_or(1.0, |lr| way.peak / lr);
            Some(schedule * size(l)?)
        }));
    }
}

/// A rule about one parameter, as data.
struct Row {
    kind: Kind,
    severity: Severity,
    threshold: f64,
    below: bool,
    figure: &'static str,
    change: &'static str,
    /// What it means, in words that hold the measured number.
    text: Box<dyn Fn(f64) -> String>,
}

impl Row {
    /// In `what`, `{}` stands for the measured number, printed in per cent if it is a `share`.
    fn new(
        kind: Kind,
        (severity, threshold, below): (Severity, f64, bool),
        figure: &'static str,
        share: bool,
        what: &'static str,
        change: &'static str,
    ) -> Row {
        let text = Box::new(move |v: f64| {
            what.replace("{}", &if share { percent(v) } else { format!("{v:.1e}") })
        });
        Row { kind, severity, threshold, below, figure, change, text }
    }

    fn as_rule(&self) -> Rule<'_> {
        Rule {
            kind: self.kind,
            severity: self.severity,
            threshold: self.threshold,
            below: self.below,
            figure: self.figure,
            what: &self.text,
            change: self.change,
        }
    }
}

type Of = fn(&Layer) -> Option<f64>;

/// What to do about steps that overshoot.
pub(super) fn against_overshoot(gains: Option<Gains>) -> &'static str {
    match gains {
        Some(g) if g.at_min > 0.5 => {
            "Lower the learning rate itself: the gains of oscillating coordinates have shrunk to their \
             lower bound and can do no more."
        }
        Some(_) => {
            "Lower the upper bound of the gains, or `gamma`: an oscillating coordinate shrinks its own \
             gain, so what overshoots are coordinates whose gradient was steady while their gain grew."
        }
        None => {
            "Lower the learning rate, by a factor of 2 to 3; the curvature is too large for it."
        }
    }
}

/// Rules about the direction and the length of gradients.
fn direction_rules(gains: Option<Gains>) -> Vec<(Row, Of)> {
    use Severity::{Note, Warning};
    vec![
        (
            Row::new(
                Kind::Oscillation,
                (Warning, 0.25, true),
                "sign-agreement",
                true,
                "Successive gradients agree in sign at only {} of the coordinates (chance: 50 %): steps \
                 overshoot.",
                against_overshoot(gains),
            ),
            |l| l.successive,
        ),
        (
            Row::new(
                Kind::MomentumOpposed,
                (Warning, 0.25, true),
                "momentum-agreement",
                true,
                "The gradient has the sign of the momentum at only {} of the coordinates (chance: \
                 50 %): the momentum carries past the valley.",
                "Lower the learning rate or the momentum's decay rate.",
            ),
            |l| l.momentum,
        ),
        (
            Row::new(
                Kind::ClipSaturated,
                (Note, 1.0, true),
                "clip-factor",
                true,
                "The norm of this gradient is clipped at most steps (to {} of it).",
                "Raise the limit to a norm that only exceptional gradients reach.",
            ),
            |l| l.clip_factor,
        ),
        (
            Row::new(
                Kind::TrustRatioLarge,
                (Warning, 10.0, false),
                "trust-ratio",
                false,
                "The trust ratio stretches most updates ({} times): the parameter's norm sets the length \
                 of the steps, whatever the gradient says.",
                "Lower `trust`, or the learning rate; give parameters whose size means nothing (biases, \
                 gains of a normalisation) a group without a trust ratio.",
            ),
            |l| l.trust_ratio,
        ),
        // As far as what is large: a ratio that is ten times what the norm asks for, or a tenth of it.
        (
            Row::new(
                Kind::TrustRatioHeld,
                (Warning, 0.1, true),
                "trust-ratio",
                true,
                "The largest norm that the trust ratio counts (`norm_max`) is {} of this parameter's, so its steps are as \
                 much shorter than those of its size.",
                "Raise `norm_max` above the parameters' norms, or take the ratio without limits.",
            ),
            |l| l.norm_counted,
        ),
        (
            Row::new(
                Kind::TrustRatioHeld,
                (Warning, 10.0, false),
                "trust-ratio",
                false,
                "The least norm that the trust ratio counts (`norm_min`) is {} times this parameter's, so its steps are \
                 as much longer than those of its size.",
                "Lower `norm_min` below the parameters' norms, or take the ratio without limits.",
            ),
            |l| l.norm_counted,
        ),
    ]
}

/// Rules about learned gains.
fn gain_rules() -> Vec<(Row, Of)> {
    use Severity::Warning;
    vec![
        (
            Row::new(
                Kind::GainsAtUpperBound,
                (Warning, 0.05, false),
                "gains",
                true,
                "{} of the gains stand at their upper bound: these coordinates would go faster.",
                "Raise the learning rate, so that gains need not do its work; raise the upper bound \
                 only if the loss falls without oscillation.",
            ),
            |l| l.gains.map(|g| g.at_max),
        ),
        (
            Row::new(
                Kind::GainsAtLowerBound,
                (Warning, 0.25, false),
                "gains",
                true,
                "{} of the gains stand at their lower bound: these coordinates would go slower.",
                "Lower the learning rate, which is too large for them; then `gamma` if they return.",
            ),
            |l| l.gains.map(|g| g.at_min),
        ),
    ]
}

/// The figure of what the run itself did not do.
const NOWHERE: &str = "";

/// Rules about what the optimizer remembers.
fn state_rules() -> Vec<(Row, Of)> {
    use Severity::{Note, Warning};
    let change = "Keep this state in single precision or bf16, or scale the loss, whose factor enters \
                  the second moment squared.";
    let own_group = "Keep this parameter's state in bf16 or single precision (a group of its own).";
    vec![
        (
            Row::new(
                Kind::EpsilonDominates,
                (Warning, 0.25, false),
                "epsilon",
                true,
                "ε outweighs the root of the second moment at {} of the coordinates that have had a \
                 gradient: there this is gradient descent with rate lr/ε, adapted to nothing.",
                "Lower `eps` below the gradients' size (their square, where ε stands under the root), \
                 or scale the loss up.",
            ),
            |l| l.eps_dominates,
        ),
        (
            Row::new(
                Kind::UnderflowF16,
                (Note, 0.05, false),
                NOWHERE,
                true,
                "f16 would round {} of the second moments to zero; divided by ε alone, those steps \
                 would be enormous.",
                change,
            ),
            |l| l.lost_in_f16,
        ),
        (
            Row::new(
                Kind::UnderflowBf16,
                (Warning, 0.05, false),
                "underflow",
                true,
                "bf16 would round {} of the second moments to zero: gradients are at the end of single \
                 precision.",
                "Scale the loss up.",
            ),
            |l| l.lost_in_bf16,
        ),
        (
            Row::new(
                Kind::Underflow8Bit,
                (Note, 0.05, false),
                NOWHERE,
                true,
                "{} of the second moments lie below the lowest 8-bit code of their block, which would \
                 hold them too large and make their steps too short.",
                own_group,
            ),
            |l| l.lost_in_8_bit,
        ),
        (
            // As with ε: the same number for all of them, adapted to none.
            Row::new(
                Kind::LowestCode,
                (Warning, 0.25, false),
                "underflow",
                true,
                "{} of the second moments stand at the lowest of the 8-bit codes in which this run keeps them; it \
                 stands for all that is smaller, too, and makes those steps too short.",
                own_group,
            ),
            |l| l.at_lowest_code,
        ),
    ]
}

/// A second moment that lags behind the gradient.
fn stale() -> Row {
    Row::new(
        Kind::StaleMoments,
        (Severity::Note, 10.0, false),
        "remembered",
        false,
        "The root of the second moment is {} times the gradient of today: it remembers gradients that are long \
         gone (about 1/(1 - beta2) steps; a maximum forgets nothing). By now it adapts to nothing and divides by \
         fixed numbers, and steps shrink with the gradient, as those of plain descent do.",
        "Nothing, if the loss falls fast enough: without noise that is how Adam comes to rest. Else lower `beta2`, \
         and tune the learning rate again, which was good for this memory; warm-up or clipping keep the first \
         gradients from being remembered.",
    )
}

/// A gradient that was there and is there no more.
fn vanished() -> Row {
    Row::new(
        Kind::GradientVanished,
        (Severity::Warning, f64::MIN_POSITIVE, true),
        "gradient-norm",
        false,
        "The gradient of this parameter has become exactly zero: its units have died or saturated, and it \
         is trained no more.",
        "Lower the learning rate, by a factor of 3 to 10, or add warm-up: a step that was too long has put \
         them where no gradient comes through.",
    )
}

/// Steps that are long beside the parameter.
fn large() -> Row {
    Row::new(
        Kind::UpdatesLarge,
        (Severity::Warning, 0.1, false),
        "update-ratio",
        false,
        "Each step changes the parameter by {} of its norm; around 1e-3 is usual.",
        "Lower the learning rate, of this group at least.",
    )
}

/// Steps that are short beside the parameter, the schedule divided out.
fn small() -> Row {
    Row::new(
        Kind::UpdatesSmall,
        (Severity::Warning, 1e-6, true),
        "update-ratio",
        false,
        "Each step changes the parameter by {} of its norm, at the peak of the schedule; around 1e-3 is usual.",
        "Raise the learning rate, of this group at least.",
    )
}

/// Gradients that must have been looked at before silence means anything.
const LOOKED: usize = 20;

/// Coordinates that have never had a gradient.
fn dead(series: &[(&Probe, &Layer)]) -> Option<Finding> {
    let (_, last) = series.last()?;
    if last.looked < LOOKED || last.untouched < 0.01 {
        return None;
    }
    let all = last.untouched == 1.0;
    // Nothing in n looks: with 95 % confidence it happens in less than about 3/n of the steps.
    let most = 1.0 - 0.05f64.powf(1.0 / last.looked as f64);
    let sure = format!(
        "in all {} gradients looked at (so, at 95 % confidence, any single one of them is nonzero in fewer \
         than {} of the steps)",
        last.looked,
        percent(most)
    );
    let (kind, severity, what, change) = if all {
        (
            Kind::NoGradient,
            Severity::Warning,
            format!("The gradient of this parameter was zero {sure}: it is not trained."),
            "Check that the loss depends on it; if it is not meant to be trained, freeze it.",
        )
    } else {
        let severity = if last.untouched >= 0.5 { Severity::Warning } else { Severity::Note };
        (
            Kind::DeadCoordinates,
            severity,
            format!("{} of the coordinates had a zero gradient {sure}.", percent(last.untouched)),
            "Constant inputs do this, and do no harm; drop them. Units that never fire need a lower \
             learning rate or another start. For rare features pass sparse gradients.",
        )
    };
    Some(Finding {
        kind,
        severity,
        parameter: Some(last.parameter.clone()),
        since: 1,
        measured: last.untouched,
        threshold: if all { 1.0 } else { 0.01 },
        beyond: last.looked,
        probes: last.looked,
        interval: [1.0 - most, 1.0],
        what,
        change: change.to_owned(),
        figure: "untouched".to_owned(),
        seeds: 1,
        seeds_of: 1,
    })
}
