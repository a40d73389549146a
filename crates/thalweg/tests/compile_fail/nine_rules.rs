use thalweg::Chain;
use thalweg::rules::Scale;

fn main() {
    let s = || Scale::default();
    let _ = Chain::new((s(), s(), s(), s(), s(), s(), s(), s(), s()));
}
