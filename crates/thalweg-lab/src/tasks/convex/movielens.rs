//! Matrix factorisation of ratings with biases (Koren, Bell and Volinsky 2009). A rating touches one row
//! of each parameter.

use std::sync::Arc;

use crate::Result;
use crate::data::{self, Rating, Ratings};
use crate::rng::{Purpose, Stream};
use crate::tasks::{Batches, Gradient, Measurement, ParameterSpec, Part, Problem, Task, Workload};

/// Numbers that describe a user or a film.
const FACTORS: usize = 16;

struct Films {
    task: &'static Task,
    ratings: Arc<Ratings>,
    /// The mean of the training ratings.
    mean: f64,
}

impl Films {
    fn new(task: &'static Task, ratings: Arc<Ratings>) -> Self {
        let sum: f64 = ratings.train.iter().map(|r| f64::from(r.stars)).sum();
        Films { task, mean: sum / ratings.train.len().max(1) as f64, ratings }
    }

    /// What is predicted beyond the true rating.
    fn error(&self, values: &[Vec<f32>], rating: &Rating) -> f64 {
        let [user, film] = [rating.user as usize, rating.item as usize];
        let (users, films) = (&values[0][user * FACTORS..], &values[1][film * FACTORS..]);
        let product =
            users.iter().zip(films).take(FACTORS).map(|(u, f)| f64::from(*u) * f64::from(*f));
        let biases = f64::from(values[2][user]) + f64::from(values[3][film]);
        self.mean + biases + product.sum::<f64>() - f64::from(rating.stars)
    }
}

pub(super) fn open(task: &'static Task) -> Result<Arc<dyn Workload>> {
    Ok(Arc::new(Films::new(task, data::ratings()?)))
}

impl Workload for Films {
    fn problem(self: Arc<Self>, seed: u64) -> Result<Box<dyn Problem>> {
        let count = self.ratings.train.len();
        Ok(Box::new(Completion {
            specs: self.parameters(),
            batches: Batches::new(self.task.name, seed, count, self.task.batch),
            batch: Vec::new(),
            seed,
            films: self,
        }))
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let (users, films) = (self.ratings.users, self.ratings.items);
        let spec = |name: &str, shape: &[usize]| ParameterSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
            fan_in: FACTORS,
        };
        vec![
            spec("user.factors", &[users, FACTORS]),
            spec("film.factors", &[films, FACTORS]),
            spec("user.bias", &[users]),
            spec("film.bias", &[films]),
        ]
    }

    fn examples(&self) -> [usize; 3] {
        [self.ratings.train.len(), self.ratings.validation.len(), self.ratings.test.len()]
    }

    fn data_sha256(&self) -> String {
        self.ratings.sha256.clone()
    }
}

struct Completion {
    films: Arc<Films>,
    specs: Vec<ParameterSpec>,
    batches: Batches,
    /// The ratings of the step.
    batch: Vec<Rating>,
    seed: u64,
}

impl Problem for Completion {
    fn parameters(&self) -> &[ParameterSpec] {
        &self.specs
    }

    fn initial_values(&self) -> Vec<Vec<f32>> {
        let start = |(i, spec): (usize, &ParameterSpec)| {
            let mut stream = Stream::new(self.films.task.name, self.seed, Purpose::Init, i as u64);
            // Factors must differ to be told apart; biases need not.
            let spread = if spec.shape.len() == 2 { 0.1 } else { 0.0 };
            (0..spec.len()).map(|_| spread * (2.0 * stream.uniform() - 1.0)).collect()
        };
        self.specs.iter().enumerate().map(start).collect()
    }

    fn prepare(&mut self, step: usize) -> Result<()> {
        let ratings = &self.films.ratings.train;
        self.batch.clear();
        self.batch.extend(self.batches.at(step).iter().map(|i| ratings[*i as usize]));
        Ok(())
    }

    fn gradient(
        &mut self,
        _: usize,
        values: &mut [Vec<f32>],
        gradients: &mut [Gradient],
    ) -> Result<f64> {
        let share = 1.0 / self.batch.len() as f64;
        let [users, films, user_biases, film_biases] = gradients else { return Ok(f64::NAN) };
        let (user_rows, user_slopes) = users.rows();
        let (film_rows, film_slopes) = films.rows();
        let (user_bias_rows, user_bias_slopes) = user_biases.rows();
        let (film_bias_rows, film_bias_slopes) = film_biases.rows();
        let mut loss = 0.0;
        for rating in &self.batch {
            let error = self.films.error(values, rating);
            loss += share * error * error;
            let slope = (2.0 * share * error) as f32;
            let user = &values[0][rating.user as usize * FACTORS..][..FACTORS];
            let film = &values[1][rating.item as usize * FACTORS..][..FACTORS];
            user_rows.push(rating.user);
            user_slopes.extend(film.iter().map(|f| slope * f));
            film_rows.push(rating.item);
            film_slopes.extend(user.iter().map(|u| slope * u));
            user_bias_rows.push(rating.user);
            user_bias_slopes.push(slope);
            film_bias_rows.push(rating.item);
            film_bias_slopes.push(slope);
        }
        Ok(loss)
    }

    fn evaluate(&mut self, part: Part, values: &mut [Vec<f32>]) -> Result<Measurement> {
        let ratings = match part {
            Part::Train => &self.films.ratings.train,
            Part::Validation => &self.films.ratings.validation,
            Part::Test => &self.films.ratings.test,
        };
        let errors = ratings.iter().map(|r| self.films.error(values, r));
        let loss = errors.map(|e| e * e).sum::<f64>() / ratings.len().max(1) as f64;
        Ok(Measurement { loss, metric: Some(loss.sqrt()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparse_gradients_agree_with_differences_where_rows_repeat() {
        let rating = |user, item, stars| Rating { user, item, stars };
        let train = vec![rating(0, 1, 5), rating(2, 1, 1), rating(0, 0, 3)];
        let ratings = Ratings {
            users: 3,
            items: 2,
            validation: train.clone(),
            test: train.clone(),
            train,
            sha256: String::new(),
        };
        let task = crate::tasks::select(&["movielens-factors".to_owned()], None).unwrap()[0];
        let films = Arc::new(Films::new(task, Arc::new(ratings)));
        let specs = films.parameters();
        let mut problem = films.problem(1).unwrap();
        let mut values = problem.initial_values();
        values[2][0] = 0.5;
        let mut gradients = vec![Gradient::default(); 4];
        problem.gradient(0, &mut values, &mut gradients).unwrap();
        assert!(gradients[0].values().is_empty(), "nothing was prepared");
        problem.prepare(0).unwrap();
        let loss = problem.gradient(0, &mut values, &mut gradients).unwrap();
        let measured = problem.evaluate(Part::Train, &mut values).unwrap();
        assert!((loss - measured.loss).abs() < 1e-12);
        assert_eq!(measured.metric, Some(measured.loss.sqrt()));
        let h = 1.0 / 256.0;
        for (p, spec) in specs.iter().enumerate() {
            for (i, gradient) in gradients[p].to_dense(&spec.shape).iter().enumerate() {
                let mut at = |offset: f32| {
                    let mut moved = values.clone();
                    moved[p][i] += offset;
                    problem.evaluate(Part::Train, &mut moved).unwrap().loss
                };
                let difference = (at(h) - at(-h)) / (2.0 * f64::from(h));
                assert!((difference - f64::from(*gradient)).abs() < 1e-4, "{p} {i}");
            }
        }
    }
}
