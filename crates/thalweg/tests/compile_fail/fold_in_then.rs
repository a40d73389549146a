use thalweg::Chain;
use thalweg::rules::{Adam, ClipNorm};

fn main() {
    let _ = Chain::new(<Adam>::default()).then(ClipNorm::default());
}
