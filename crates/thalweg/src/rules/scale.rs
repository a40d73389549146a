//! The learning rate, as a rule.

use crate::hyper::Range;
use crate::real::Real;
use crate::registry::Entry;
use crate::rule::{At, Here, Rule};

crate::hypers! {
    /// Multiplies the update by the learning rate. Last in most chains; before a momentum it
    /// stores the rate in the buffer, as Keras and Sutskever's form do.
    pub struct Scale {
        /// Learning rate, in units of the parameter per unit of update (ours 1e-3).
        lr "η" = 1e-3 in Range::NON_NEGATIVE,
    }
}

impl Rule for Scale {
    type Memory<F: Real> = [F; 0];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        let [lr] = at.lift([at.get(&self.lr)]);
        move |u, _, []| (lr * u, [])
    }
}

crate::registry::blocks!(rule Scale);

pub(crate) const ENTRIES: &[Entry] = &[];
pub(crate) mod recipes {}
