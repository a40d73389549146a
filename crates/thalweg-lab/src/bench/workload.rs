//! What is stepped: lists of tensor shapes that people train.

use crate::{Error, Result};

/// A list of tensors.
#[derive(Debug)]
pub(super) struct Workload {
    /// Its short name.
    pub(super) name: &'static str,
    /// The shape of each tensor.
    pub(super) shapes: Vec<Vec<usize>>,
    /// The name of each tensor.
    pub(super) names: Vec<String>,
}

impl Workload {
    /// The workload called `name`, its first axes divided by `shrink`.
    pub(super) fn named(name: &str, shrink: usize) -> Result<Workload> {
        let (name, mut shapes) = match name.to_ascii_lowercase().as_str() {
            "w1" => ("W1", vec![vec![64 << 20]]),
            "w2" => ("W2", gpt2_small()),
            "w3" => ("W3", vec![vec![1024]; 1000]),
            "w4" => ("W4", mlp(&[784, 256, 128, 10])),
            "table" => ("TABLE", vec![vec![1 << 20, 64]]),
            _ => {
                let problem = format!("there is no workload {name:?}");
                return Err(Error::usage(problem, "choose among w1, w2, w3, w4, table"));
            }
        };
        for shape in &mut shapes {
            shape[0] = (shape[0] / shrink).max(1);
        }
        let names = (0..shapes.len()).map(|k| format!("tensor.{k}")).collect();
        Ok(Workload { name, shapes, names })
    }

    /// Coordinates in all.
    pub(super) fn len(&self) -> usize {
        self.shapes.iter().map(|s| s.iter().product::<usize>()).sum()
    }
}

/// The parameters of GPT-2 small, 124 million.
fn gpt2_small() -> Vec<Vec<usize>> {
    let (d, layers) = (768, 12);
    let mut shapes = vec![vec![50257, d], vec![1024, d]];
    for _ in 0..layers {
        shapes.extend([vec![d], vec![d], vec![d, 3 * d], vec![3 * d], vec![d, d], vec![d]]);
        shapes.extend([vec![d], vec![d], vec![d, 4 * d], vec![4 * d], vec![4 * d, d], vec![d]]);
    }
    shapes.extend([vec![d], vec![d]]);
    shapes
}

/// Weights and biases of a perceptron with these widths.
fn mlp(widths: &[usize]) -> Vec<Vec<usize>> {
    widths.windows(2).flat_map(|w| [vec![w[1], w[0]], vec![w[1]]]).collect()
}

#[cfg(test)]
mod tests {
    use super::Workload;

    #[test]
    fn sizes_are_those_of_the_models() {
        let len = |name| Workload::named(name, 1).expect("a workload").len();
        assert_eq!(len("w1"), 1 << 26);
        assert_eq!(len("w2"), 124_439_808);
        assert_eq!(len("w3"), 1_024_000);
        assert_eq!(len("w4"), 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10);
    }
}
