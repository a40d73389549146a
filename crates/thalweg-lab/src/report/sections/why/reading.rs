//! What the quantities are called where there is little room, and how their values are to be read.

/// What a button, a heading or the title of a small picture calls a quantity.
pub(super) fn short(key: &str) -> &'static str {
    match key {
        "rate" => "effective rate",
        "rate-spread" => "spread of rates",
        "update-ratio" => "step / weights",
        "growth" => "growth",
        "sign-agreement" => "sign agreement",
        "momentum-agreement" => "with momentum",
        "confirmed" => "signal",
        "gradient-norm" => "gradient",
        "remembered" => "memory",
        "gain-largest" => "largest gain",
        "gains-at-upper" => "gains at top",
        "gains-at-lower" => "gains at bottom",
        "gains-aligned" => "gains in step",
        "epsilon" => "ε in charge",
        "clip-factor" => "clipping",
        "trust-ratio" => "trust ratio",
        "norm-counted" => "norm counted",
        "untouched" => "no gradient",
        "underflow" => "lost in bf16",
        "lowest-code" => "at the lowest code",
        _ => "other",
    }
}

/// What a value means.
pub(super) fn how_to_read(key: &str) -> &'static str {
    match key {
        "rate" => {
            "The typical distance a coordinate moves per unit of its running mean gradient: the geometric \
             mean over the parameters of their median coordinates."
        }
        "rate-spread" => {
            "How many times as far the fastest coordinates of a parameter go as the slowest, per unit of \
             gradient: the 95 % quantile of its effective rates over the 5 % one, the geometric mean over the \
             parameters. At 1 all coordinates have one rate."
        }
        "update-ratio" => {
            "Around 10⁻³ per step is usual for weights; above 0.1 a step replaces what was learned, far below \
             10⁻⁶ nothing is learned. Biases have no panel: one that starts at zero has no size."
        }
        "growth" => {
            "How many times as long the parameters are as before the first step. Training lengthens them (1, dotted: \
             not at all); many times as long before the loss has fallen, long steps have drowned the start. Biases \
             have no panel: one that starts at zero has no size."
        }
        "sign-agreement" => {
            "The share of coordinates whose gradient has the sign it had one step before. Near 1 the way is \
             straight, and longer steps would go; around one half (dotted) the sign is noise; near 0 every step \
             overshoots."
        }
        "momentum-agreement" => {
            "The share of coordinates whose gradient still points where the momentum does. Near 1 the momentum \
             carries along the valley; below one half (dotted) it carries past it."
        }
        "confirmed" => {
            "The scalar product of two successive gradients over the mean of their squared lengths. Near 1 a \
             gradient can be trusted; near 0 (dotted) it is noise, and smaller rates or larger batches help; below 0 \
             each step turns the gradient round. The noise scale, in batches, is one over it, less one."
        }
        "gradient-norm" => {
            "Where a line falls to the lower edge, the gradient has become exactly zero, and the parameter is trained no \
             more."
        }
        "remembered" => {
            "How many times as long as the gradient of today the root of the second moment is. Near 1 (dotted) it \
             follows; far above, it remembers gradients that are long gone."
        }
        "gain-largest" | "gains-at-upper" | "gains-at-lower" | "gains-aligned" => {
            "What the learned gains did: the largest of them (1, dotted: nothing learned), the shares that stand at \
             their bounds, where they can learn no more, and the share whose gradient still points along the last step, \
             so that they grow."
        }
        "epsilon" => {
            "The share of coordinates where ε outweighs the root of the second moment: these go by plain \
             gradient descent at the rate lr/ε, adapted to nothing."
        }
        "clip-factor" => {
            "What clipping multiplied the gradient by: 1 is untouched. Always far below 1, the limit sets the \
             length of the steps, not the gradient."
        }
        "trust-ratio" | "norm-counted" => {
            "What the ratio of norms multiplied the update by (1, dotted: nothing). It sets a rate for each \
             parameter; held at a bound it sets none."
        }
        "untouched" => {
            "The share of coordinates whose gradient was zero whenever it was looked at."
        }
        "lowest-code" => {
            "The share of the second moments above zero that stand at the lowest 8-bit code of their block, which holds \
             what is smaller too large."
        }
        _ => "The share of the second moments above zero that bf16 would round to zero.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::QUANTITIES;

    #[test]
    fn every_quantity_has_a_short_name_of_its_own() {
        let mut names: Vec<&str> = QUANTITIES.iter().map(|q| short(q.key)).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]) && !names.contains(&"other"));
    }
}
