//! candle-optimisers: its fields are private, but it prints them.
//!
//! `{:?}` of an optimizer writes every field, and of a tensor with one axis and fewer than ten numbers
//! all digits. So the weight has one axis here, which no method of the table minds.

use candle_core::{Device, Tensor, Var};
use candle_nn::optim::Optimizer;
use candle_optimisers::adadelta::{Adadelta, ParamsAdaDelta};
use candle_optimisers::adagrad::{Adagrad, ParamsAdaGrad};
use candle_optimisers::adam::{Adam, ParamsAdam};
use candle_optimisers::adamax::{Adamax, ParamsAdaMax};
use candle_optimisers::esgd::{ParamsSGD, SGD};
use candle_optimisers::nadam::{NAdam, ParamsNAdam};
use candle_optimisers::radam::{ParamsRAdam, RAdam};
use candle_optimisers::rmsprop::{ParamsRMSprop, RMSprop};
use candle_optimisers::{Decay, Momentum};

use crate::{Hypers, Run, SHAPES, State, bytes};

pub struct CandleRun {
    vars: [Var; 2],
    optimizer: Box<dyn Any>,
}

trait Any {
    fn step(&mut self, loss: &Tensor);
    fn text(&self) -> String;
}

impl<O: Optimizer + std::fmt::Debug> Any for O {
    fn step(&mut self, loss: &Tensor) {
        self.backward_step(loss).unwrap();
    }

    fn text(&self) -> String {
        format!("{self:?}")
    }
}

fn optimizer(name: &str, h: &Hypers<'_>, vars: Vec<Var>) -> Box<dyn Any> {
    fn make<O: Optimizer + std::fmt::Debug + 'static>(
        vars: Vec<Var>,
        params: O::Config,
    ) -> Box<dyn Any> {
        Box::new(O::new(vars, params).unwrap())
    }
    let lr = h.get("lr");
    let (beta_1, beta_2) = (h.maybe("beta1").unwrap_or(0.0), h.maybe("beta2").unwrap_or(0.0));
    let eps = h.maybe("eps").unwrap_or(0.0);
    let apart = h.maybe("decay").map(Decay::DecoupledWeightDecay);
    let adam =
        |weight_decay, amsgrad| ParamsAdam { lr, beta_1, beta_2, eps, weight_decay, amsgrad };
    let sgd = |momentum| ParamsSGD {
        lr,
        momentum: Some(momentum),
        weight_decay: None,
        dampening: h.maybe("dampening").unwrap_or(0.0),
    };
    match name {
        "adam" => make::<Adam>(vars, adam(None, false)),
        "adamw" => make::<Adam>(vars, adam(apart, false)),
        "adam_l2" => make::<Adam>(vars, adam(h.maybe("decay").map(Decay::WeightDecay), false)),
        "amsgrad" => make::<Adam>(vars, adam(None, true)),
        "momentum" => make::<SGD>(vars, sgd(Momentum::Classical(h.get("momentum")))),
        "nesterov" => make::<SGD>(vars, sgd(Momentum::Nesterov(h.get("momentum")))),
        "rmsprop" | "rmsprop_momentum" | "rmsprop_centered" | "rmsprop_centered_momentum" => {
            let centered = name.contains("centered");
            let (alpha, momentum) = (h.get("rho"), h.maybe("momentum"));
            let params = ParamsRMSprop { lr, alpha, eps, weight_decay: None, momentum, centered };
            make::<RMSprop>(vars, params)
        }
        "adagrad" => {
            let (lr_decay, initial_acc) = (h.get("lr_decay"), h.get("initial"));
            let params = ParamsAdaGrad { lr, lr_decay, initial_acc, weight_decay: None, eps };
            make::<Adagrad>(vars, params)
        }
        "adadelta" => {
            let params = ParamsAdaDelta { lr, rho: h.get("rho"), eps, weight_decay: None };
            make::<Adadelta>(vars, params)
        }
        "nadam" | "nadamw" => {
            let momentum_decay = h.get("momentum_decay");
            let params =
                ParamsNAdam { lr, beta_1, beta_2, eps, weight_decay: apart, momentum_decay };
            make::<NAdam>(vars, params)
        }
        "radam" => make::<RAdam>(vars, ParamsRAdam { lr, beta_1, beta_2, weight_decay: None, eps }),
        "adamax" => {
            make::<Adamax>(vars, ParamsAdaMax { lr, beta_1, beta_2, weight_decay: None, eps })
        }
        other => panic!("{other}"),
    }
}

impl CandleRun {
    pub fn new(name: &str, h: &Hypers<'_>, x: &[f64]) -> Self {
        let var = |x: &[f64]| Var::from_slice(x, x.len(), &Device::Cpu).unwrap();
        let vars = [var(&x[..6]), var(&x[6..])];
        CandleRun { optimizer: optimizer(name, h, vars.to_vec()), vars }
    }
}

/// The tensors of a printed optimizer in order, with the names of their fields.
fn printed(text: &str) -> Vec<(&str, Vec<f64>)> {
    let mut pieces = text.split("Tensor[");
    let mut before = pieces.next().unwrap();
    let mut all = vec![];
    for piece in pieces {
        let field = before.trim_end_matches("Var(").trim_end_matches("Some(");
        let field = field.trim_end_matches(": ").rsplit(' ').next().unwrap();
        let numbers = piece.split_once(';').unwrap().0;
        all.push((field, numbers.split(", ").map(|v| v.parse().unwrap()).collect()));
        before = piece;
    }
    all
}

fn number(text: &str, field: &str) -> Option<f64> {
    let rest = text.split_once(&format!(", {field}: "))?.1;
    rest.split([',', ' ']).next()?.parse().ok()
}

impl Run for CandleRun {
    fn step(&mut self, g: &[f64]) {
        // The gradient of the sum of g·x is g.
        let part = |var: &Var, g: &[f64]| {
            let g = Tensor::from_slice(g, g.len(), &Device::Cpu).unwrap();
            (var.as_tensor() * g).unwrap().sum_all().unwrap()
        };
        let loss = part(&self.vars[0], &g[..6]) + part(&self.vars[1], &g[6..]);
        self.optimizer.step(&loss.unwrap());
    }

    fn x(&self) -> Vec<f64> {
        self.vars.iter().flat_map(|var| var.to_vec1::<f64>().unwrap()).collect()
    }

    fn state(&self) -> State {
        let text = self.optimizer.text();
        let (mut state, mut seen) = (State::default(), 0);
        for (field, values) in printed(&text) {
            // A parameter begins a variable's fields, and is no state.
            if field == "theta" {
                seen += 1;
                continue;
            }
            let (name, shape) = SHAPES[seen - 1];
            state.tensor(format!("{name}.{field}"), shape.to_vec(), bytes(&values));
        }
        assert_eq!(seen, 2, "{text}");
        for field in ["mu_t", "mu_t2", "prod", "prod2"] {
            if let Some(value) = number(&text, field) {
                state.tensor(field.to_owned(), vec![], bytes(&[value]));
            }
        }
        if let Some(t) = number(&text, "t") {
            assert_eq!(t.fract(), 0.0);
            state.count("t".to_owned(), t as i64);
        }
        state
    }

    fn load(&mut self, _: &[u8]) -> bool {
        false
    }
}
