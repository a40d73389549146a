use thalweg::{At, Chain, Fold, Here, Join, Part, Real, hypers};

hypers! {
    /// Divides by the largest gradient of the tensor.
    pub struct ByLargest {}
}

impl Fold for ByLargest {}

impl Part for ByLargest {
    type Memory<F: Real> = [F; 0];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 1];
    const JOIN: &'static [Join] = &[Join::Max];

    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 1] + Copy + Send + Sync + use<F> {
        |u, _, []| [u.abs()]
    }

    fn settle<W: Real<Wide = W>>(&self, _: &At<W>, _: usize, largest: [W; 1], _: [W; 1]) -> [W; 1] {
        largest
    }

    fn at<F: Real>(
        &self,
        _: &At<F>,
        [largest]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        move |u, _, []| (u / largest, [])
    }
}

fn main() {
    let _ = Chain::new(()).fold(ByLargest::default());
}
