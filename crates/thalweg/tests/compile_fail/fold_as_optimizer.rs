use thalweg::Optimizer;
use thalweg::rules::ClipNorm;

fn main() {
    let _ = Optimizer::<f32>::new(ClipNorm::default());
}
