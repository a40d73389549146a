//! From probes to findings. The advice for learned gains is the source's troubleshooting table (000
//! §10.3) with its errata: an oscillating coordinate has negative products, so its gain shrinks; what
//! overshoots are consistent coordinates whose gain has grown (E23).

use super::course::{confirmed, growth, weighted};
use super::finding::{Finding, Kind, Severity, wilson};
use super::layers::{Way, against_overshoot, layer_findings};
use super::record::{Layer, Probe, finite};
use crate::protocol::shown;

/// What is known of a run besides its probes.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The step at which the run diverged and why, if it did.
    pub divergence: Option<(usize, &'a str)>,
    /// Examples per gradient, 1 where a formula adds noise of its own; `None` where every gradient is
    /// exact, so that all that changes between two of them is the point.
    pub batch: Option<usize>,
    /// Whether the loss came down to the floor of its task.
    pub solved: bool,
    /// The loss before training, and what the run is judged by, where they are known.
    pub losses: Option<[f64; 2]>,
    /// Whether parameters live where a gradient need not vanish at the minimum: on the simplex or among positive
    /// numbers.
    pub bounded: bool,
    /// The decay rate of the optimizer's momentum, 0 if it has none.
    pub memory: f64,
}

/// What the probes of one run show, the most severe first, and last what other storage would have
/// lost. Fewer than four probes in the later half show nothing persistent.
pub fn diagnose(case: &Case<'_>, probes: &[Probe]) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(diverged(case, probes));
    whole_run(case, probes, &mut findings);
    let layers = probes.first().map_or(0, |p| p.layers.len());
    let way = way(case, probes);
    for k in 0..layers {
        let series: Vec<(&Probe, &Layer)> =
            probes.iter().filter_map(|p| Some((p, p.layers.get(k)?))).collect();
        layer_findings(&series, &way, &mut findings);
    }
    // Gradients of one direction are no call for longer steps where steps were too long: what they have lost is not
    // found again.
    let any = |is: &dyn Fn(&Finding) -> bool| findings.iter().any(is);
    if any(&is_lost) && !any(&|f| f.kind == Kind::UpdatesSmall) {
        findings.retain(|f| f.kind != Kind::SlowProgress);
    }
    super::sort(&mut findings);
    findings
}

/// Whether it says that steps were too long for the run as a whole, or for a parameter for good.
fn is_lost(f: &Finding) -> bool {
    match f.kind {
        Kind::NoProgress | Kind::StartLost | Kind::GradientVanished => true,
        Kind::Oscillation => f.parameter.is_none(),
        _ => false,
    }
}

fn peak(probes: &[Probe]) -> f64 {
    probes.iter().filter_map(|p| p.lr).fold(0.0, f64::max)
}

fn way(case: &Case<'_>, probes: &[Probe]) -> Way {
    let (before, now) = quarters(&probes[probes.len() / 2..]);
    // What fits its training examples far better than others has come to its end, however much further the loss of
    // its batches falls.
    let fits = case.losses.is_some_and(|[_, judged]| now < judged / 2.0);
    Way {
        peak: peak(probes),
        bounded: case.bounded,
        until: at_work(probes).last().map_or(0, |p| p.step),
        underway: !case.solved && !fits && falls(before, now),
        fast: now < 0.5 * before,
    }
}

/// A persistent state: what is measured, when that is beyond a bound, and what it means.
pub(super) struct Rule<'a> {
    pub(super) kind: Kind,
    pub(super) severity: Severity,
    pub(super) threshold: f64,
    /// Beyond is below the threshold.
    pub(super) below: bool,
    pub(super) figure: &'a str,
    pub(super) what: &'a dyn Fn(f64) -> String,
    pub(super) change: &'a str,
}

impl Rule<'_> {
    /// Judges a series of (step, measured); what could not be measured is left out.
    pub(super) fn judge(
        &self,
        parameter: Option<&str>,
        series: &[(usize, Option<f64>)],
    ) -> Option<Finding> {
        let all: Vec<(usize, f64)> = series.iter().filter_map(|(s, v)| Some((*s, (*v)?))).collect();
        let beyond = |v: f64| if self.below { v < self.threshold } else { v > self.threshold };
        let judged = &all[all.len() / 2..];
        let count = judged.iter().filter(|(_, v)| beyond(*v)).count();
        let interval = wilson(count, judged.len());
        if interval[0] <= 0.5 {
            return None;
        }
        let measured = median(judged.iter().map(|(_, v)| *v));
        Some(Finding {
            kind: self.kind,
            severity: self.severity,
            parameter: parameter.map(str::to_owned),
            since: since(&all, judged, beyond),
            measured,
            threshold: self.threshold,
            beyond: count,
            probes: judged.len(),
            interval,
            what: (self.what)(measured),
            change: self.change.to_owned(),
            figure: self.figure.to_owned(),
            seeds: 1,
            seeds_of: 1,
        })
    }
}

/// The first step beyond from which on four of five probes are beyond, or else the first of those `judged`.
fn since(all: &[(usize, f64)], judged: &[(usize, f64)], beyond: impl Fn(f64) -> bool) -> usize {
    let mut first = judged.iter().find(|(_, v)| beyond(*v)).map_or(0, |(step, _)| *step);
    let mut count = 0;
    for (i, (step, value)) in all.iter().enumerate().rev() {
        if beyond(*value) {
            count += 1;
            if 5 * count >= 4 * (all.len() - i) {
                first = *step;
            }
        }
    }
    first
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// `12.3 %`, with as many digits as a small share needs.
pub(super) fn percent(share: f64) -> String {
    let digits = if share > 0.0 && share < 0.001 { 4 } else { 1 };
    format!("{:.digits$} %", 100.0 * share)
}

/// A gain above this has taken over from the learning rate that was set.
const GROWN: f64 = 10.0;

fn diverged(case: &Case<'_>, probes: &[Probe]) -> Option<Finding> {
    let (step, reason) = case.divergence?;
    let largest = |p: &Probe| {
        p.layers.iter().filter_map(|l| l.gains.map(|g| g.max)).fold(f64::NEG_INFINITY, f64::max)
    };
    let gain = probes.iter().map(largest).fold(f64::NEG_INFINITY, f64::max);
    let (kind, numbers, what, change, figure) = if gain > GROWN {
        (
            Kind::RateExplosion,
            [gain, GROWN],
            format!(
                "The run diverged at step {step} ({reason}); gains had multiplied the learning rate \
                 by up to {gain:.3e}."
            ),
            "Lower the gain's learning rate (`gamma`) or its upper bound, so that lr · upper bound is \
             a rate that plain descent survives. With the product signal γ has the units of 1/g²: \
             the sign signal (`meta_egd_sign`) has none.",
            "gains",
        )
    } else {
        (
            Kind::Diverged,
            [f64::MAX, 0.0],
            format!("The run diverged at step {step}: {reason}."),
            "Lower the learning rate, by a factor of 3 to 10; add warm-up or clip the gradient norm if \
             the first steps are to blame.",
            "loss",
        )
    };
    Some(Finding::of_run(kind, Severity::Critical, step, numbers, what, change.to_owned(), figure))
}

fn whole_run(case: &Case<'_>, probes: &[Probe], findings: &mut Vec<Finding>) {
    let over = |f: &dyn Fn(&Probe) -> Option<f64>| -> Vec<(usize, Option<f64>)> {
        probes.iter().map(|p| (p.step, f(p))).collect()
    };
    let clipped = Rule {
        kind: Kind::ClipSaturated,
        severity: Severity::Warning,
        threshold: 1.0,
        below: true,
        figure: "clip-factor",
        what: &|f| {
            format!(
                "The norm of the whole gradient is clipped at most steps (to {} of it): the limit sets \
                 the length of the steps, not the gradient.",
                percent(f)
            )
        },
        change: "Raise the limit to a norm that only exceptional gradients reach, or lower the learning \
                 rate and clip less.",
    };
    findings.extend(clipped.judge(None, &over(&|p| Some(p.clip_factor))));
    findings.extend(no_progress(case, probes));
    findings.extend(start_lost(case, probes));
    findings.extend(overshoots(probes));
    findings.extend(circles(case, probes));
    findings.extend(slow(case, probes).filter(|_| !case.solved));
    findings.extend(noisy(case, probes));
}

/// A run that ends where it began, or higher.
fn no_progress(case: &Case<'_>, probes: &[Probe]) -> Option<Finding> {
    let [start, end] = case.losses?;
    let last = probes.last()?;
    if case.solved || case.divergence.is_some() || end < start {
        return None;
    }
    Some(Finding::of_run(
        Kind::NoProgress,
        Severity::Warning,
        1,
        [finite(end), finite(start)],
        format!(
            "At the end of the run the validation loss, {}, is no lower than before the first step, {}.",
            shown(end),
            shown(start),
        ),
        forget_sooner(
            case,
            last.step,
            "Lower the learning rate, by a factor of 10; where steps are tiny beside the parameters \
             (updates-small), raise it.",
        ),
        "loss",
    ))
}

/// Of parameters this many times as long as at the start a ninth is left of it, in squares. Measured while more than half
/// of the loss was there, in medians over the seeds: with tuned rates up to 1.8 times on digits-mlp (22 optimizers; with
/// nesterov, which jumped back later, 2.3), lm-lincoln (9) and lm-union (2), with rates some ten times too high 4.5 to 14
/// times.
const OUTGROWN: f64 = 3.0;

/// A start that long steps have drowned before they were of use.
fn start_lost(case: &Case<'_>, probes: &[Probe]) -> Option<Finding> {
    let [start, _] = case.losses?;
    // A start is of use to what gradients pass through: a matrix alone may begin anywhere.
    if probes.first()?.layers.iter().filter(|l| l.axes >= 2).count() < 2 {
        return None;
    }
    let early = probes.iter().take_while(|p| p.loss > 0.5 * start);
    let grown: Vec<(usize, f64)> = early.filter_map(|p| Some((p.step, growth(p)?))).collect();
    let since = grown.iter().find(|(_, times)| *times > OUTGROWN)?.0;
    let times = grown.iter().map(|(_, times)| *times).fold(0.0, f64::max);
    Some(Finding::of_run(
        Kind::StartLost,
        Severity::Warning,
        since,
        [finite(times), OUTGROWN],
        format!(
            "Before half of the loss was gone, steps had made the parameters {times:.1} times as long as at the start: \
             little is left of a start whose size was chosen for training."
        ),
        "Lower the learning rate, by a factor of 3 to 10, or add warm-up: the first steps are too long."
            .to_owned(),
        "growth",
    ))
}

/// Successive gradients whose product is below this share of the mean of their squared lengths turn round: coordinates
/// of one size of which a quarter keeps its sign, the bound of single parameters, come to it.
const TURNED: f64 = -0.5;

/// Steps that end where the gradient points back. Where a few coordinates carry the loss, the signs of all say little.
fn overshoots(probes: &[Probe]) -> Option<Finding> {
    let gains = probes.last()?.layers.iter().find_map(|l| l.gains);
    let rule = Rule {
        kind: Kind::Oscillation,
        severity: Severity::Warning,
        threshold: TURNED,
        below: true,
        figure: "gradient-noise",
        what: &|share| {
            format!(
                "Each step turns the gradient round: the product of two successive ones is {share:.2} of the mean of \
                 their squared lengths (by chance: 0; opposite: -1). Steps overshoot."
            )
        },
        change: against_overshoot(gains),
    };
    let series: Vec<_> = at_work(probes).iter().map(|p| (p.step, confirmed(p))).collect();
    rule.judge(None, &series)
}

/// What to do about steps that are far too long.
const CALMER: &str = "Lower the learning rate, by a factor of 3 to 10.";

/// A run that keeps at least half of its loss, which has settled, though its gradients point somewhere and its steps
/// are long enough to take it away: what they win by the slope, the curvature takes back.
fn circles(case: &Case<'_>, probes: &[Probe]) -> Option<Finding> {
    let [start, end] = case.losses.filter(|[start, _]| *start > 0.0)?;
    let probes = at_work(probes);
    let half = &probes[probes.len() / 2..];
    let (ratio, error) = signal_to_noise(half)?;
    let (before, after) = quarters(half);
    // At the lower end of the interval.
    let times = promised(half) / before * (1.0 - error / ratio);
    let kept = (0.5 * start..start).contains(&end);
    if case.bounded || !kept || !crawls(before, after) || ratio <= error || times < 1.0 {
        return None;
    }
    Some(Finding::of_run(
        Kind::Oscillation,
        Severity::Warning,
        half[0].step,
        [times, 1.0],
        format!(
            "The loss has settled with {} of {} left, though successive gradients point one way (their product is \
             {ratio:.2} ± {error:.2} of their noise; by chance: 0) and half of these steps would take away {times:.1} \
             times what there is, if the slope went on: steps jump past what they point to.",
            shown(end),
            shown(start),
        ),
        forget_sooner(case, half[half.len() - 1].step, CALMER),
        "gradient-noise",
    ))
}

/// What half of the steps between these probes win to first order. A plain step goes along a gradient whose squared
/// length is signal and noise, and of that the signal counts; one whose noise momentum has averaged away wins more.
fn promised(half: &[Probe]) -> f64 {
    let win = |p: &Probe| {
        let length = p.layers.iter().map(|l| l.update_norm.powi(2)).sum::<f64>().sqrt();
        length * p.signal / (p.signal + p.noise).sqrt().max(f64::MIN_POSITIVE)
    };
    let mean = half.iter().map(win).sum::<f64>() / half.len() as f64;
    let steps = half.last().map_or(0, |last| last.step - half[0].step);
    mean * steps as f64 / 2.0
}

/// Momentum that leaves more than this of a swing until the end has no time to come to rest.
const LASTING: f64 = 0.1;

/// Advice against steps that are too long; before it, if momentum lasts as long as the run's `steps`, to shorten that.
fn forget_sooner(case: &Case<'_>, steps: usize, change: &str) -> String {
    // A swing of heavy ball shrinks by the root of the decay rate per step.
    let left = case.memory.powf(steps as f64 / 2.0);
    if left < LASTING {
        return change.to_owned();
    }
    let about = 1.0 / (1.0 - case.memory);
    format!(
        "Lower the momentum's decay rate first, so that it forgets within the run: at {:.4} it remembers about {about:.0} \
         steps, and {} of a swing are left after {steps}. Then: {change}",
        case.memory,
        percent(left)
    )
}

/// How the advice to raise the learning rate begins, which its comparison [may change](super::findings_of).
pub(super) const RAISE: &str = "Raise the learning rate, by a factor of 3 to 10";

/// Agreement above this is a direction that the steps could follow faster; chance gives 0.5.
const STEADY: f64 = 0.9;

/// A loss that falls by more than this from one quarter of a run to the next is well on its way, however long
/// that is.
const ON_ITS_WAY: f64 = 0.3;

/// A run that has less than this share of its loss behind it has hardly begun.
const HARDLY: f64 = 0.3;

/// Successive gradients whose product is at least this share of their noise go one way.
const ONE_WAY: f64 = 0.5;

/// The mean losses of both halves of these probes: batches differ, so single ones say little.
fn quarters(half: &[Probe]) -> (f64, f64) {
    let (earlier, later) = half.split_at(half.len() / 2);
    let mean = |part: &[Probe]| part.iter().map(|p| p.loss).sum::<f64>() / part.len() as f64;
    (mean(earlier), mean(later))
}

/// Whether the loss has not settled; one that has needs no faster steps.
fn falls(before: f64, after: f64) -> bool {
    after < before && before - after > 1e-9 * before.abs()
}

/// Whether the loss falls too little from one quarter of a run to the next to be well on its way.
fn crawls(before: f64, after: f64) -> bool {
    before - after < ON_ITS_WAY * before.abs()
}

/// The probes up to where a schedule has halved the learning rate: steps whose rate is about to become zero are meant
/// to be short.
fn at_work(probes: &[Probe]) -> &[Probe] {
    let peak = peak(probes);
    let last = probes.iter().rposition(|p| p.lr.is_none_or(|lr| lr >= 0.5 * peak));
    &probes[..last.map_or(0, |last| last + 1)]
}

/// A run that could go faster.
fn slow(case: &Case<'_>, probes: &[Probe]) -> Option<Finding> {
    let probes = at_work(probes);
    let half = &probes[probes.len() / 2..];
    let (before, after) = quarters(half);
    if case.bounded {
        return None;
    }
    let gains = half.iter().flat_map(|p| &p.layers).any(|l| l.gains.is_some());
    let change = match (gains, case.memory > 0.0) {
        (true, _) => {
            "Raise the learning rate, or the rate of the gains (`gamma`, `hyper_lr`) so that they grow faster; \
             check that they are not held by their upper bound."
                .to_owned()
        }
        (false, true) => format!("{RAISE}."),
        (false, false) => format!("{RAISE}, or add momentum."),
    };
    let rule = Rule {
        kind: Kind::SlowProgress,
        severity: Severity::Warning,
        threshold: STEADY,
        below: false,
        figure: "sign-agreement",
        what: &|a| {
            format!(
                "Successive gradients agree in sign at {} of the coordinates (chance: 50 %) and the \
                 loss is still falling at the end: the steps are shorter than they could be.",
                percent(a)
            )
        },
        change: &change,
    };
    let series: Vec<_> = probes.iter().map(|p| (p.step, weighted(p, |l| l.successive))).collect();
    let goes_one_way = || {
        let found = rule.judge(None, &series);
        found.or_else(|| one_way(case, probes, &change).filter(|_| crawls(before, after)))
    };
    // What hardly moves is lost in the differences between batches.
    falls(before, after).then(goes_one_way).flatten().or_else(|| hardly_begun(case, half, &change))
}

/// A run that has left most of the loss where it was must have this much of its noise as signal at least.
const SOME_WAY: f64 = 0.1;

/// A run that has left most of the loss where it was, though its gradients point somewhere.
fn hardly_begun(case: &Case<'_>, half: &[Probe], change: &str) -> Option<Finding> {
    let [start, end] = case.losses.filter(|[start, _]| *start > 0.0)?;
    let gone = 1.0 - end / start;
    let (ratio, error) = signal_to_noise(half)?;
    if !(0.0..HARDLY).contains(&gone) || ratio - error < SOME_WAY {
        return None;
    }
    let beyond = half.iter().filter(|p| p.signal > SOME_WAY * p.noise).count();
    Some(Finding {
        kind: Kind::SlowProgress,
        severity: Severity::Warning,
        parameter: None,
        since: half[0].step,
        measured: ratio,
        threshold: SOME_WAY,
        beyond,
        probes: half.len(),
        interval: wilson(beyond, half.len()),
        what: format!(
            "Only {} of the validation loss is gone, {} of {}, and successive gradients still point one way: \
             their product is {ratio:.2} ± {error:.2} of their noise (by chance: 0). The steps are shorter than \
             they could be.",
            percent(gone),
            shown(start - end),
            shown(start),
        ),
        change: change.to_owned(),
        figure: "gradient-noise".to_owned(),
        seeds: 1,
        seeds_of: 1,
    })
}

/// Slow progress under noise, which turns signs: the product of successive gradients tells it.
fn one_way(case: &Case<'_>, probes: &[Probe], change: &str) -> Option<Finding> {
    case.batch?;
    let rule = Rule {
        kind: Kind::SlowProgress,
        severity: Severity::Warning,
        threshold: ONE_WAY,
        below: false,
        figure: "gradient-noise",
        what: &|r| {
            format!(
                "Successive gradients point one way: their product is {r:.2} of their noise (by chance: 0), and \
                 the loss is still falling at the end: the steps are shorter than they could be."
            )
        },
        change,
    };
    let ratio = |p: &Probe| (p.noise > 0.0).then(|| p.signal / p.noise);
    rule.judge(None, &probes.iter().map(|p| (p.step, ratio(p))).collect::<Vec<_>>())
}

/// The product of successive gradients over their noise, over all of these probes, and the half width of its
/// 95 % interval by the jackknife; `None` of few probes, or without noise.
fn signal_to_noise(half: &[Probe]) -> Option<(f64, f64)> {
    let n = half.len();
    let sum = |f: fn(&Probe) -> f64| half.iter().map(f).sum::<f64>();
    let (noise, signal) = (sum(|p| p.noise), sum(|p| p.signal));
    if n < 8 || noise <= 0.0 {
        return None;
    }
    let without: Vec<f64> = half.iter().map(|p| (signal - p.signal) / (noise - p.noise)).collect();
    let centre = without.iter().sum::<f64>() / n as f64;
    let spread: f64 = without.iter().map(|r| (r - centre) * (r - centre)).sum();
    let error = 1.96 * (spread * (n as f64 - 1.0) / n as f64).sqrt();
    (error.is_finite()).then_some((signal / noise, error))
}

/// A noise scale this many times the batch makes single steps mostly noise.
const NOISY: f64 = 30.0;

/// The noise scale over the later half, with an interval by the jackknife over its probes.
fn noisy(case: &Case<'_>, probes: &[Probe]) -> Option<Finding> {
    let examples = case.batch?;
    let half = &probes[probes.len() / 2..];
    let n = half.len();
    // In batches: noise over signal; signal over noise has no pole where the signal vanishes.
    let (ratio, error) = signal_to_noise(half)?;
    // Steps that are too long turn the gradient round: a product below zero is their answer to the noise, and
    // says no more of the signal than one above it.
    let most = ratio.abs() + error;
    if most > 1.0 / NOISY {
        return None;
    }
    let batch = examples as f64;
    let unit = if examples == 1 { "gradients" } else { "examples" };
    let size = |r: f64| if r > 0.0 { format!("{:.0}", batch / r) } else { "∞".to_owned() };
    let scale = if ratio > 0.0 {
        let (low, high) = (size(most), size(ratio - error));
        format!("is {} {unit} (95 % interval: {low} to {high})", size(ratio))
    } else {
        format!("is more than {} {unit} (at 95 % confidence)", size(most))
    };
    let beyond = half.iter().filter(|p| p.signal < p.noise / NOISY).count();
    Some(Finding {
        kind: Kind::NoiseDominates,
        severity: Severity::Note,
        parameter: None,
        since: half[0].step,
        measured: if ratio > 0.0 { batch / ratio } else { f64::MAX },
        threshold: NOISY * batch,
        beyond,
        probes: n,
        interval: wilson(beyond, n),
        what: format!(
            "The gradient-noise scale {scale}, far above the batch of {examples}: a single gradient is \
             mostly noise."
        ),
        change: "Let the learning rate fall towards the end, average the weights, or use larger \
                 batches; up to the noise scale, twice the batch takes nearly half the steps. Keep \
                 `gamma` of learned gains low: products of such gradients are noise too."
            .to_owned(),
        figure: "gradient-noise".to_owned(),
        seeds: 1,
        seeds_of: 1,
    })
}
