//! Milliseconds of a forward and a backward pass of the training engine: `engine WORKLOAD THREADS`.
//!
//! Workloads are `mlp`, `wide`, `cnn`, `colour`, `resnet` and `lm`; `peers/engine.py` runs this in turn with PyTorch.

use std::time::{Duration, Instant};

use thalweg_lab::tasks::engine::NetworkModel;
use thalweg_lab::tasks::{Batch, Embedding, Model, Network};
use thalweg_lab::{Error, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let threads = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    let (network, examples) = workload(&name)?;
    let rows = examples * network.embedding.map_or(1, |e| e.context);
    let values = network.example() * examples;
    let batch = Batch {
        inputs: (0..values).map(|i| (i * 7919 % 1009) as f32 / 1009.0).collect(),
        tokens: (0..values).map(|i| (i * 31 % 96) as u32).collect(),
        labels: (0..rows).map(|i| (i % 10) as u8).collect(),
    };
    let mut model = NetworkModel::new(&network, threads);
    let mut parameters = network.initial_values("bench", 0);
    let mut gradients = vec![Vec::new(); parameters.len()];
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1500) || times.len() < 10 {
        let start = Instant::now();
        model.loss_and_gradients(&mut parameters, &batch, &mut gradients)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.drain(..3);
    times.sort_by(f64::total_cmp);
    println!("{:.4}", times[times.len() / 2]);
    Ok(())
}

fn workload(name: &str) -> Result<(Network, usize)> {
    let embedding = Embedding { vocabulary: 96, context: 64, width: 128 };
    Ok(match name {
        "mlp" => (Network::mlp(&[784, 256, 128, 10]), 128),
        "wide" => (Network::mlp(&[3_072, 256, 128, 10]), 64),
        "cnn" => (Network::cnn([1, 28, 28], [32, 64], 10), 64),
        "colour" => (Network::cnn([3, 32, 32], [32, 64], 10), 64),
        "resnet" => (Network::resnet([3, 32, 32], 16, 1, 10), 64),
        "lm" => (Network::gpt(embedding, 2, 4), 16),
        _ => {
            let problem = format!("there is no workload called `{name}`");
            return Err(Error::usage(problem, "choose mlp, wide, cnn, colour, resnet or lm"));
        }
    })
}
