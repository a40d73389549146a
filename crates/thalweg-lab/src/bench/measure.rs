//! Taking turns with the clock.

use super::bound::Plain;
use super::subject::Subject;
use super::variant::Variant;
use super::workload::Workload;
use crate::Result;

/// A measurement takes at least this long, by repeating short steps.
const LEAST: f64 = 0.02;

/// One line of the result.
#[derive(Debug, serde::Serialize)]
pub(super) struct Row {
    optimizer: String,
    workload: &'static str,
    threads: usize,
    /// Median time of a step in milliseconds.
    ms: f64,
    /// Quartiles of the rounds.
    ms_quartiles: [f64; 2],
    /// Bytes that must move, per second of that time.
    gbps: f64,
    /// The same of the bound.
    bound_gbps: f64,
    /// Share of the bound reached, the median over rounds of time against time.
    share: f64,
}

impl Row {
    pub(super) fn header() -> String {
        let names = ["optimizer", "load", "threads", "ms", "quartiles", "GB/s", "bound", "share"];
        let [a, b, c, d, e, f, g, h] = names;
        format!("{a:<26} {b:<4} {c:>7} {d:>9} {e:>19} {f:>7} {g:>7} {h:>6}")
    }

    pub(super) fn line(&self) -> String {
        let Row { optimizer, workload, threads, ms, gbps, bound_gbps, share, .. } = self;
        let quartiles = self.ms_quartiles.map(|q| format!("{q:.4}")).join("–");
        format!(
            "{optimizer:<26} {workload:<4} {threads:>7} {ms:>9.4} {quartiles:>19} {gbps:>7.1} \
             {bound_gbps:>7.1} {share:>6.3}"
        )
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One workload at one thread count.
pub(super) struct Session<'a> {
    pub(super) workload: &'a Workload,
    pub(super) threads: usize,
    pub(super) rounds: usize,
}

impl Session<'_> {
    /// Times each optimizer, its bound in turn with it, and shows each row as it is there.
    pub(super) fn run(&self, names: &[String], show: &mut dyn FnMut(&Row)) -> Result<()> {
        for name in names {
            show(&self.row(name)?);
        }
        Ok(())
    }

    fn row(&self, name: &str) -> Result<Row> {
        let variant = Variant::named(name)?;
        let mut subject = Subject::new(&variant, self.workload, self.threads)?;
        let slots = variant.slots()?;
        let mut bound = Subject::bound(slots, self.workload, self.threads)?;
        let mut plain = Plain::new(self.workload.len(), slots, self.threads);
        let bytes = variant.bytes(self.workload)?;
        // The bound moves f32 numbers, at a rate at which those of any format could move.
        let in_proportion = bytes / (4 * (2 * (slots + 1) + 1) * self.workload.len()) as f64;
        let (mut times, mut bounds) = (vec![], vec![]);
        let once = repeats(|| subject.step(self.workload))?;
        let once_bound = repeats(|| bound.step(self.workload))?;
        plain.pass();
        for _ in 0..self.rounds {
            times.push(mean_of(once, || subject.step(self.workload))?);
            let swept = mean_of(once_bound, || bound.step(self.workload))?;
            let plain = mean_of(once_bound, || Ok(plain.pass()))?;
            bounds.push(swept.min(plain) * in_proportion);
        }
        let shares: Vec<f64> = times.iter().zip(&bounds).map(|(t, b)| b / t).collect();
        let (ms, bound) = (quantile(&times, 0.5) * 1e3, quantile(&bounds, 0.5));
        Ok(Row {
            optimizer: name.to_owned(),
            workload: self.workload.name,
            threads: self.threads,
            ms,
            ms_quartiles: [0.25, 0.75].map(|q| quantile(&times, q) * 1e3),
            gbps: bytes / ms / 1e6,
            bound_gbps: bytes / bound / 1e9,
            share: quantile(&shares, 0.5),
        })
    }
}

/// How often to run for a measurement of sufficient length, found on the way to a steady state: the
/// first steps make the state, and threads have yet to find a core each.
fn repeats(mut run: impl FnMut() -> Result<f64>) -> Result<usize> {
    let (mut sum, mut last) = (run()?, run()?);
    while sum < LEAST {
        last = run()?;
        sum += last;
    }
    Ok(((LEAST / last).ceil() as usize).clamp(1, 1000))
}

/// The mean of `repeats` runs in seconds: short steps are only measurable many at a time.
fn mean_of(repeats: usize, mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut sum = 0.0;
    for _ in 0..repeats {
        sum += run()?;
    }
    Ok(sum / repeats as f64)
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(q * (sorted.len() - 1) as f64).round() as usize]
}
