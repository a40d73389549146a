use thalweg::Chain;
use thalweg::rules::{Adam, Scale};

fn main() {
    let _ = Chain::new(<Adam>::default()).fold(Scale::default());
}
