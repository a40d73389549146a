//! JSON lines and comma-separated values.

use serde::Serialize;
use serde_json::json;

use super::super::{Facts, Kept};
use crate::diagnosis::{Finding, Probe};
use crate::{Error, Result};

/// JSON lines: the manifest, then for each run a line that describes it, one line per measurement, and those
/// of what the diagnosis `saw` of it. Every line has a `type`: `manifest`, `run`, `point`, `probe` or
/// `finding`. On a task of two coordinates a run has its `trajectory`, a position at every `stride`-th step from the
/// start on. What is not finite is `null`.
///
/// # Errors
/// Those of `saw`.
pub fn jsonl(
    facts: &Facts,
    runs: &[Kept],
    saw: impl Fn(&Kept) -> Result<(Vec<Probe>, Vec<Finding>)>,
) -> Result<String> {
    let manifest: serde_json::Map<String, serde_json::Value> =
        facts.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let mut text = format!("{}\n", json!({"type": "manifest", "facts": manifest}));
    for run in runs {
        text += &format!("{}\n", description(run));
        for point in &run.points {
            let line = json!({
                "type": "point",
                "run": run.cell(),
                "step": point.step,
                "seconds": point.seconds,
                "train_loss": point.train_loss,
                "validation_loss": point.validation.loss,
                "validation_metric": point.validation.metric,
            });
            text += &format!("{line}\n");
        }
        let (probes, findings) = saw(run)?;
        for probe in &probes {
            text += &labelled("probe", run, probe)?;
        }
        for finding in &findings {
            text += &labelled("finding", run, finding)?;
        }
    }
    Ok(text)
}

/// A line of what the diagnosis saw.
fn labelled(kind: &str, run: &Kept, seen: &impl Serialize) -> Result<String> {
    #[derive(Serialize)]
    struct Line<'a, S> {
        r#type: &'a str,
        run: String,
        #[serde(flatten)]
        seen: &'a S,
    }
    let line = Line { r#type: kind, run: run.cell(), seen };
    serde_json::to_string(&line).map(|line| line + "\n").map_err(|e| {
        Error::failed(format!("cannot write a {kind} as JSON: {e}"), "report this defect")
    })
}

fn description(run: &Kept) -> serde_json::Value {
    let hypers: serde_json::Map<String, serde_json::Value> =
        run.hypers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "type": "run",
        "run": run.cell(),
        "task": run.task,
        "optimizer": run.optimizer,
        "trial": run.trial,
        "phase": run.phase,
        "seed": run.seed,
        "budget": run.budget,
        "gradients": run.gradients,
        "gradient_seconds": run.gradient_seconds,
        "optimizer_seconds": run.optimizer_seconds,
        "hypers": hypers,
        "diverged_at": run.divergence.as_ref().map(|d| d.0),
        "diverged_because": run.divergence.as_ref().map(|d| &d.1),
        "best_step": run.best_point.and_then(|i| run.points.get(i)).map(|p| p.step),
        "test_loss": run.test_loss,
        "test_metric": run.test_metric,
        "trajectory": run.trajectory,
        "stride": run.stride,
    })
}

/// Comma-separated values, one line per measurement with what is known of its whole run, as in RFC 4180
/// but for lines that end in `\n`. A cell is empty where there is no number.
pub fn csv(runs: &[Kept]) -> String {
    let mut text =
        "run,task,optimizer,trial,phase,seed,hypers,budget,gradients,gradient_seconds,optimizer_seconds,\
         diverged_at,test_loss,test_metric,step,seconds,train_loss,validation_loss,validation_metric\n"
            .to_owned();
    let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    for run in runs {
        let start = [&run.cell(), &run.task, &run.optimizer].map(|text| quoted(text)).join(",");
        let hypers = quoted(&super::hypers(run));
        let diverged = run.divergence.as_ref().map(|d| d.0.to_string()).unwrap_or_default();
        let (loss, metric) = (number(run.test_loss), number(run.test_metric));
        let Kept { budget, gradients, gradient_seconds, optimizer_seconds, .. } = run;
        let spent = format!("{budget},{gradients},{gradient_seconds},{optimizer_seconds}");
        let whole = format!("{spent},{diverged},{loss},{metric}");
        for p in &run.points {
            text += &format!(
                "{start},{},{},{},{hypers},{whole},{},{},{},{},{}\n",
                run.trial,
                run.phase,
                run.seed,
                p.step,
                p.seconds,
                number(p.train_loss),
                p.validation.loss,
                number(p.validation.metric)
            );
        }
    }
    text
}

/// A cell, in quotes if it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
