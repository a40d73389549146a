//! Findings: what is wrong, in words and as data.

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; the run may be as good as it can be.
    Note,
    /// Something is probably set wrong.
    Warning,
    /// The run is lost.
    Critical,
}

impl Severity {
    /// The name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// A storage of the optimizer's state that the run did not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stored {
    /// Sixteen-bit floats.
    F16,
    /// Blocks of 8-bit numbers with one scale each.
    Block8,
}

impl Stored {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Stored::F16 => "f16",
            Stored::Block8 => "block8",
        }
    }
}

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The loss left all bounds.
    Diverged,
    /// Learned gains multiplied the learning rate until the run diverged.
    RateExplosion,
    /// Learned gains stand at their upper bound.
    GainsAtUpperBound,
    /// Learned gains stand at their lower bound.
    GainsAtLowerBound,
    /// Steps overshoot: successive gradients point against each other, or the loss stays though they do not.
    Oscillation,
    /// The gradient points against the momentum.
    MomentumOpposed,
    /// Gradients keep their direction and the loss still falls.
    SlowProgress,
    /// ε outweighs the second moment.
    EpsilonDominates,
    /// The second moment remembers gradients far larger than today's.
    StaleMoments,
    /// Steps are large beside the parameter.
    UpdatesLarge,
    /// Steps have made the parameters many times as long while most of the loss was still there.
    StartLost,
    /// Steps are tiny beside the parameter.
    UpdatesSmall,
    /// Nearly every step is clipped.
    ClipSaturated,
    /// A trust ratio stretches most updates far.
    TrustRatioLarge,
    /// The limits of a trust ratio count a norm that is far from the parameter's.
    TrustRatioHeld,
    /// Coordinates whose gradient was always zero.
    DeadCoordinates,
    /// A parameter whose gradient was always zero.
    NoGradient,
    /// A parameter whose gradient has become zero.
    GradientVanished,
    /// The loss is no lower than at the start.
    NoProgress,
    /// f16 would lose second moments.
    UnderflowF16,
    /// bf16 would lose second moments.
    UnderflowBf16,
    /// 8-bit codes would hold second moments too large.
    #[serde(rename = "underflow-8-bit")]
    Underflow8Bit,
    /// 8-bit codes, in which the run keeps them, hold second moments too large.
    LowestCode,
    /// The noise of a gradient hides its direction.
    NoiseDominates,
}

impl Kind {
    /// The storage that the kind is about, if it says nothing of the run itself: what that storage of the
    /// optimizer's state would have lost.
    pub fn if_stored(self) -> Option<Stored> {
        match self {
            Kind::UnderflowF16 => Some(Stored::F16),
            Kind::Underflow8Bit => Some(Stored::Block8),
            _ => None,
        }
    }

    /// The name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Diverged => "diverged",
            Kind::RateExplosion => "rate-explosion",
            Kind::GainsAtUpperBound => "gains-at-upper-bound",
            Kind::GainsAtLowerBound => "gains-at-lower-bound",
            Kind::Oscillation => "oscillation",
            Kind::MomentumOpposed => "momentum-opposed",
            Kind::SlowProgress => "slow-progress",
            Kind::EpsilonDominates => "epsilon-dominates",
            Kind::StaleMoments => "stale-moments",
            Kind::UpdatesLarge => "updates-large",
            Kind::StartLost => "start-lost",
            Kind::UpdatesSmall => "updates-small",
            Kind::ClipSaturated => "clip-saturated",
            Kind::TrustRatioLarge => "trust-ratio-large",
            Kind::TrustRatioHeld => "trust-ratio-held",
            Kind::DeadCoordinates => "dead-coordinates",
            Kind::NoGradient => "no-gradient",
            Kind::GradientVanished => "gradient-vanished",
            Kind::NoProgress => "no-progress",
            Kind::UnderflowF16 => "underflow-f16",
            Kind::UnderflowBf16 => "underflow-bf16",
            Kind::Underflow8Bit => "underflow-8-bit",
            Kind::LowestCode => "lowest-code",
            Kind::NoiseDominates => "noise-dominates",
        }
    }
}

/// Something found in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// In which parameter; `None` for the run as a whole.
    pub parameter: Option<String>,
    /// Since which step, from 1.
    pub since: usize,
    /// What was measured, the median over the later half of the probes; its meaning is the kind's.
    pub measured: f64,
    /// The bound it is beyond.
    pub threshold: f64,
    /// In how many of the probes that were judged.
    pub beyond: usize,
    /// The probes that were judged; 1 of what happened to the run as a whole.
    pub probes: usize,
    /// The 95 % interval of the share of such probes, as if they were independent. Successive ones resemble each
    /// other, so it is too narrow for what another run would show: see `seeds`.
    pub interval: [f64; 2],
    /// What was found, in words.
    pub what: String,
    /// What to change.
    pub change: String,
    /// The quantity whose course over the run shows it, the report's figure of that name; empty if none does.
    pub figure: String,
    /// In how many of the seeds it was found; all else is of the first of them.
    pub seeds: usize,
    /// The seeds that were looked at.
    pub seeds_of: usize,
}

impl Finding {
    /// Something that happened to a run as a whole: it was seen, so there is no share of probes and no interval. What
    /// was measured stands with its bound.
    pub(super) fn of_run(
        kind: Kind,
        severity: Severity,
        since: usize,
        [measured, threshold]: [f64; 2],
        what: String,
        change: String,
        figure: &str,
    ) -> Self {
        Finding {
            kind,
            severity,
            parameter: None,
            since,
            measured,
            threshold,
            beyond: 1,
            probes: 1,
            interval: [1.0, 1.0],
            what,
            change,
            figure: figure.to_owned(),
            seeds: 1,
            seeds_of: 1,
        }
    }

    /// Where it was found, in words.
    pub fn place(&self) -> &str {
        self.parameter.as_deref().unwrap_or("the whole run")
    }

    /// Whether it says something of the optimizer: more than half of the seeds have it. A lost run always
    /// does.
    pub fn is_shared(&self) -> bool {
        2 * self.seeds > self.seeds_of || self.severity == Severity::Critical
    }

    /// Whether it is told in full: it says something of the optimizer, and of what happened, not of what
    /// other storage would have lost.
    pub fn is_told(&self) -> bool {
        self.is_shared() && self.kind.if_stored().is_none()
    }
}

/// What other storage would have lost in most seeds, in one sentence; `None` if nothing.
pub fn if_stored(findings: &[Finding]) -> Option<String> {
    let told = |stored: Stored| {
        let shared = findings.iter().filter(|f| f.is_shared());
        let of = || shared.clone().filter(|f| f.kind.if_stored() == Some(stored));
        let most = of().map(|f| f.measured).fold(0.0, f64::max);
        let parameters = match of().count() {
            0 => return None,
            1 => "1 parameter".to_owned(),
            n => format!("{n} parameters"),
        };
        Some(format!("{} in {parameters} (up to {:.0} %)", stored.name(), 100.0 * most))
    };
    let told: Vec<String> = [Stored::F16, Stored::Block8].into_iter().filter_map(told).collect();
    (!told.is_empty())
        .then(|| format!("other storage would lose second moments: {}", told.join(", ")))
}

/// The 95 % score interval of a share of which `k` of `n` were seen (Wilson 1927); `[0, 1]` of none.
pub fn wilson(k: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    const Z: f64 = 1.959963984540054;
    let (n, p) = (n as f64, k as f64 / n as f64);
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    [((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)]
}
