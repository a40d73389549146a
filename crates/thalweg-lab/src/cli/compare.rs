//! `thalweg compare`.

use std::time::Instant;

use super::args::CompareArgs;
use super::progress::{self, How};
use super::stop;
use super::table::Table;
use crate::protocol::stats::scale::Scale;
use crate::protocol::{Observer, Plan, Side, Standing, TaskOutcome, compare_in, open, shown};
use crate::store::{self, Database, Document};
use crate::{Error, Result, optimizers, report, tasks};

pub(super) fn run(args: &CompareArgs) -> Result<()> {
    let how = How::of(args.tui, args.quiet)?;
    let plan = Plan {
        tasks: tasks::select(&args.tasks, args.tier)?,
        optimizers: match &args.optimizers[..] {
            [] => None,
            names => Some(optimizers::select(names)?),
        },
        seeds: args.seeds,
        trials: args.trials,
        budget: args.budget,
        workers: args.workers.unwrap_or_else(store::threads),
    };
    store::prepare(&args.out)?;
    if let Some(directory) = &args.svg_dir {
        report::prepare(directory)?;
    }
    let start = Instant::now();
    let workloads = open(&plan)?;
    if args.fresh {
        Database::remove(&args.out)?;
    }
    let database = Database::open(&args.out, &store::facts(&plan, &workloads))?;
    database.note("command", &std::env::args().collect::<Vec<_>>().join(" "))?;
    for (key, value) in store::notes(&workloads) {
        database.note(&key, &value)?;
    }
    stop::listen(args.quiet);
    let work = |observer: &dyn Observer| compare_in(&plan, &workloads, &database, observer);
    let outcome = progress::watch(&plan, how, work);
    let document =
        Document::new(outcome?, std::env::args().collect(), start.elapsed().as_secs_f64());
    store::write(&args.out, "results.json", &document.to_json()?)?;
    store::write(&args.out, "report.html", &report::render(&document))?;
    if let Some(directory) = &args.svg_dir {
        report::save(&document, directory)?;
    }
    if args.json {
        super::print(&(document.to_json()? + "\n"))?;
    } else {
        for task in &document.outcome.tasks {
            super::print(&table(task))?;
        }
    }
    if !args.quiet {
        eprintln!(
            "{:.0} s; report: {}",
            document.manifest.seconds,
            args.out.join("report.html").display()
        );
    }
    match &document.outcome.interrupted {
        None => Ok(()),
        Some(how_far) => Err(Error::interrupted(
            format!("{how_far}; the report holds what there is"),
            "give the same command again to continue",
        )),
    }
}

fn table(task: &TaskOutcome) -> String {
    let mut table = Table::new(&[
        "rank",
        "best?",
        "optimizer",
        "test loss",
        match task.scale {
            Scale::Plain => "± 95 %",
            Scale::Above(_) => "×/÷ 95 %",
        },
        task.metric.map_or("metric", |m| m.name),
        "tuned",
        "diverged",
        "step µs",
    ]);
    for s in &task.standings {
        let interval = match (s.test_loss.half_width, s.test_factor) {
            (Some(half_width), _) => shown(half_width),
            (None, Some(factor)) if factor < 1e3 => format!("{factor:.3}"),
            (None, Some(factor)) => format!("{factor:.1e}"),
            (None, None) => "-".to_owned(),
        };
        // An interrupted comparison may have no final run of it yet.
        let known = |value: f64, text: String| if value.is_nan() { "-".to_owned() } else { text };
        table.row([
            s.rank.to_string(),
            known(s.test_loss.mean, if s.may_be_best { "may be" } else { "no" }.to_owned()),
            s.optimizer.to_owned(),
            known(s.test_loss.mean, shown(s.test_loss.mean)),
            interval,
            match (task.metric, &s.test_metric) {
                (Some(metric), Some(value)) => known(value.mean, metric.show(value.mean)),
                _ => "-".to_owned(),
            },
            tuned(s),
            format!("{}/{}", s.diverged_runs, s.runs),
            known(s.test_loss.mean, format!("{:.1}", s.step_microseconds)),
        ]);
    }
    format!(
        "\n{}: {} gradients{} per run; at 95 % confidence the best is one of those that may be\n{}\n{}\n",
        task.task,
        task.budget,
        if task.batch == 0 { String::new() } else { format!(" of {} examples", task.batch) },
        table.render(),
        task.verdict
    )
}

fn tuned(standing: &Standing) -> String {
    let values = standing.chosen.iter().map(|(hyper, value)| {
        let edge = standing.edges.iter().find(|e| e.hyper == *hyper).map(|e| match e.side {
            Side::Low => " (lowest tried)",
            Side::High => " (highest tried)",
        });
        format!("{hyper} {value:.2e}{}", edge.unwrap_or_default())
    });
    let mut text = values.collect::<Vec<_>>().join(", ");
    if standing.extensions.iter().any(|e| e.all_diverged) {
        text += " (every trial of the declared range diverged)";
    }
    text
}
