//! `thalweg compare`.

use std::time::Instant;

use super::args::CompareArgs;
use super::progress::Progress;
use super::table::Table;
use crate::protocol::{Plan, Side, Standing, TaskOutcome, compare, shown};
use crate::store::{self, Document};
use crate::{Result, optimizers, report, tasks};

pub(super) fn run(args: &CompareArgs) -> Result<()> {
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
    let start = Instant::now();
    let progress = Progress::new(&plan, args.quiet);
    let outcome = compare(&plan, &progress);
    progress.close();
    let document =
        Document::new(outcome?, std::env::args().collect(), start.elapsed().as_secs_f64());
    store::write(&args.out, "results.json", &document.to_json()?)?;
    store::write(&args.out, "report.html", &report::render(&document))?;
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
    Ok(())
}

fn table(task: &TaskOutcome) -> String {
    let mut table = Table::new(&[
        "rank",
        "optimizer",
        "test loss",
        "± 95 %",
        task.metric.map_or("metric", |m| m.name),
        "tuned",
        "diverged",
        "step µs",
    ]);
    for s in &task.standings {
        let interval = s.test_loss.half_width.map_or_else(|| "-".to_owned(), shown);
        table.row([
            format!("{}{}", s.rank, if s.may_equal_first && s.rank > 1 { "=" } else { "" }),
            s.optimizer.to_owned(),
            shown(s.test_loss.mean),
            interval,
            match (task.metric, &s.test_metric) {
                (Some(metric), Some(value)) => metric.show(value.mean),
                _ => "-".to_owned(),
            },
            tuned(s),
            format!("{}/{}", s.diverged_trials + s.diverged_seeds, s.trials.len() + s.seeds.len()),
            format!("{:.1}", s.step_microseconds),
        ]);
    }
    format!(
        "\n{}: {} gradients{} per run\n{}\n{}\n",
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
    values.collect::<Vec<_>>().join(", ")
}
