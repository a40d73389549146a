use thalweg::Chain;
use thalweg::rules::{Adam, ClipNorm, Scale};

fn main() {
    let _ = Chain::new((ClipNorm::default(), <Adam>::default(), Scale::default()));
}
