//! The one door between the laboratory and whatever computes losses and gradients.

use std::sync::Arc;

use super::ParameterSpec;
use crate::Result;

/// Which examples something is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What the optimizers train on.
    Train,
    /// What hyper-parameters are selected on.
    Validation,
    /// What results are reported on, and nothing else.
    Test,
}

/// How good some values of the parameters are.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Measurement {
    /// The loss, in the unit that [`Task::loss`](super::Task::loss) names; smaller is better.
    pub loss: f64,
    /// The task's [`Metric`](super::Metric), if it has one.
    pub metric: Option<f64>,
}

/// The gradient with respect to one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Gradient {
    /// One number per coordinate, row-major.
    Dense(Vec<f32>),
    /// Zero but for some rows (of the first axis), as an embedding's is: `values[i·width..][..width]`
    /// belongs to row `rows[i]`, `width` being the product of the other axes. Rows may come in any
    /// order and repeatedly; repeated ones are added.
    Rows {
        /// The rows.
        rows: Vec<u32>,
        /// Their values, one row after another.
        values: Vec<f32>,
    },
}

impl Default for Gradient {
    fn default() -> Self {
        Gradient::Dense(Vec::new())
    }
}

impl Gradient {
    /// The buffer of a dense gradient; what was there before is lost if it was sparse. The buffer's
    /// length and content are those of the last use.
    pub fn dense(&mut self) -> &mut Vec<f32> {
        if !matches!(self, Gradient::Dense(_)) {
            *self = Gradient::Dense(Vec::new());
        }
        match self {
            Gradient::Dense(values) => values,
            Gradient::Rows { values, .. } => values,
        }
    }

    /// The buffers of a sparse gradient, rows and values, emptied.
    pub fn rows(&mut self) -> (&mut Vec<u32>, &mut Vec<f32>) {
        if !matches!(self, Gradient::Rows { .. }) {
            *self = Gradient::Rows { rows: Vec::new(), values: Vec::new() };
        }
        match self {
            Gradient::Rows { rows, values } => {
                rows.clear();
                values.clear();
                (rows, values)
            }
            Gradient::Dense(_) => unreachable!("made sparse above"),
        }
    }

    /// The numbers that are stored; of a sparse gradient, those of its rows.
    pub fn values(&self) -> &[f32] {
        match self {
            Gradient::Dense(values) | Gradient::Rows { values, .. } => values,
        }
    }

    /// All coordinates of a parameter of this shape, rows that repeat added up.
    pub fn to_dense(&self, shape: &[usize]) -> Vec<f32> {
        match self {
            Gradient::Dense(values) => values.clone(),
            Gradient::Rows { rows, values } => {
                let width: usize = shape.iter().skip(1).product();
                let mut dense = vec![0.0; shape.iter().product()];
                for (row, from) in rows.iter().zip(values.chunks_exact(width.max(1))) {
                    let to = &mut dense[*row as usize * width..][..width];
                    to.iter_mut().zip(from).for_each(|(sum, value)| *sum += value);
                }
                dense
            }
        }
    }
}

/// What one run trains: a pure function of task and seed, owned by the run's thread.
///
/// `values` holds one buffer per entry of [`parameters`](Problem::parameters), in that order, row-major.
/// An implementation may move the buffers elsewhere during a call, but must put back buffers of the same
/// length with the same content. After an error their content is lost.
pub trait Problem: Send {
    /// Names and shapes of the parameters.
    fn parameters(&self) -> &[ParameterSpec];

    /// Where every optimizer starts; depends on task and seed only.
    fn initial_values(&self) -> Vec<Vec<f32>>;

    /// Gets ready what batch `step` needs and what does not depend on the values, such as
    /// its batch: the time for it is not counted. Called before [`gradient`](Problem::gradient) of the
    /// same step, which may rely on it.
    ///
    /// # Errors
    /// If that fails.
    fn prepare(&mut self, _step: usize) -> Result<()> {
        Ok(())
    }

    /// The loss of batch `step` (from 0) at `values`; its gradients are written to `gradients`, one per
    /// parameter. Examples and noise depend on task, seed and step only, so that every optimizer sees the
    /// same ones. Where there is no data, `step` is the number of the gradient evaluation: an optimizer that
    /// takes two of them per step sees the first of each pair twice, and time passes for it as for all.
    ///
    /// # Errors
    /// If the computation itself fails; a loss that is not finite is a result and no error.
    fn gradient(
        &mut self,
        step: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64>;

    /// Loss and metric over all examples of a part, without noise or augmentation.
    ///
    /// # Errors
    /// As for [`gradient`](Problem::gradient).
    fn evaluate(&mut self, part: Part, values: &mut [Vec<f32>]) -> Result<Measurement>;
}

/// A task whose data are loaded: makes the problem of every run, and is shared by all of them.
pub trait Workload: Send + Sync {
    /// The problem of a run with this seed.
    ///
    /// # Errors
    /// If the model cannot be made.
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>>;

    /// Names and shapes of the parameters; the same for every seed.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// Training, validation and test examples. Where there is no data (a formula), all are 0.
    fn examples(&self) -> [usize; 3] {
        [0; 3]
    }

    /// Of the validation and the test examples, those that an evaluation takes: all, unless that takes too long.
    fn evaluated(&self) -> [usize; 2] {
        let [_, validation, test] = self.examples();
        [validation, test]
    }

    /// What examples are counted in.
    fn unit(&self) -> String {
        "examples".to_owned()
    }

    /// The smallest loss there is on the test part, where that is known.
    fn optimum(&self) -> Option<f64> {
        None
    }

    /// SHA-256 of the data; empty where there is none.
    fn data_sha256(&self) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_rows_add_up() {
        let sparse = Gradient::Rows { rows: vec![2, 0, 2], values: vec![1., 2., 3., 4., 5., 6.] };
        assert_eq!(sparse.to_dense(&[3, 2]), [3., 4., 0., 0., 6., 8.]);
        let vector = Gradient::Rows { rows: vec![1, 1], values: vec![1., 2.] };
        assert_eq!(vector.to_dense(&[3]), [0., 3., 0.]);
    }

    #[test]
    fn buffers_change_kind_on_demand() {
        let mut gradient = Gradient::default();
        gradient.dense().push(1.0);
        let (rows, values) = gradient.rows();
        assert!(rows.is_empty() && values.is_empty());
        rows.push(3);
        values.push(2.0);
        assert_eq!(gradient.values(), [2.0]);
        assert!(gradient.dense().is_empty());
    }
}
