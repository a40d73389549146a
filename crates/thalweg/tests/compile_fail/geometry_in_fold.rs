use thalweg::Chain;
use thalweg::geometry::Simplex;
use thalweg::rules::Adam;

fn main() {
    let _ = Chain::new(<Adam>::default()).fold(Simplex::default());
}
