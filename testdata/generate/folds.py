"""Methods that need sums over a tensor first: trust ratios, norms, update clipping, masks."""

import numpy as np
import optax
from pytorch_optimizer import StableAdamW

from harness import (
    ALL,
    OPTIMIZERS,
    VERSIONS,
    case,
    ema,
    from_formula,
    from_keras,
    from_optax,
    from_torch,
    keras,
    keras_label,
    optax_label,
)

# ------------------------------------------------------------------------------------------------------------------ formulas


def norm(a):
    return np.sqrt(np.sum(a * a))


def trust_ratio(x, u, trust):
    return trust * norm(x) / norm(u) if norm(x) > 0 and norm(u) > 0 else trust * 0 + 1


def adam_direction(h, t, g, s, eps_root=0):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    return s.m / (1 - h.beta1**t) / (np.sqrt(s.v / (1 - h.beta2**t) + eps_root) + h.eps)


def lamb(h, t, g, x, s):
    u = adam_direction(h, t, g, s, getattr(h, "eps_root", 0)) + getattr(h, "decay", 0) * x
    return x - h.lr * trust_ratio(x, u, h.trust) * u


def lamb_bounded(h, t, g, x, s):
    """You et al. 2020, algorithm 2, with phi(z) = min(max(z, norm_min), norm_max)."""
    u = adam_direction(h, t, g, s) + h.decay * x
    length, size = np.minimum(np.maximum(norm(x), h.norm_min), h.norm_max), norm(u)
    return x - h.lr * (h.trust * length / size if length > 0 and size > 0 else 1) * u


def lamb_decayed(h, t, g, x, s):
    x = x * (1 - h.lr * h.decay)
    u = adam_direction(h, t, g, s)
    return x - h.lr * trust_ratio(x, u, h.trust) * u


def lars(h, t, g, x, s):
    u = g + h.decay * x
    s.buf = h.momentum * s.buf + h.lr * trust_ratio(x, u, h.trust) * u
    return x - s.buf


def lars_paper(h, t, g, x, s):
    length = norm(x)
    size = norm(g) + h.decay * length
    ratio = h.trust * length / size if length > 0 and size > 0 else 1
    s.buf = h.momentum * s.buf + h.lr * ratio * (g + h.decay * x)
    return x - s.buf


def novograd(h, t, g, x, s):
    square = np.sum(g * g)
    s.v = np.atleast_1d(square if t == 1 else ema(h.beta2, s.v, square))
    s.m = h.beta1 * s.m + g / (np.sqrt(s.v) + h.eps) + h.decay * x
    return x - h.lr * s.m


def stable_adamw(h, t, g, x, s):
    # A running average corrected in its rate: beta * (1 - beta^(t-1)) / (1 - beta^t).
    rate = lambda beta: beta * (1 - beta ** (t - 1)) / (1 - beta**t)
    s.m = ema(rate(h.beta1), s.m, g)
    s.v = ema(rate(h.beta2), s.v, g * g)
    rms = np.sqrt(np.mean(g * g / np.maximum(s.v, h.eps**2)))
    lr = h.lr / np.maximum(rms, 1)
    return x - lr * h.decay * x - lr * s.m / (np.sqrt(s.v) + h.eps)


def cautious_adamw(h, t, g, x, s):
    u = adam_direction(h, t, g, s)
    mask = np.sign(u) * np.sign(g) > 0
    share = np.sum(mask) / x.dtype.type(len(x))
    u = np.where(mask, u / np.maximum(share, x.dtype.type("0.001")), 0)
    return x - h.lr * (u + h.decay * x)


# ---------------------------------------------------------------------------------------------------------------- libraries

ADAM = ["lr", "beta1", "beta2", "eps"]


def optax_lamb(lr, h):
    return optax.lamb(lr, h.beta1, h.beta2, eps=h.eps, eps_root=getattr(h, "eps_root", 0.0), weight_decay=h.decay)


OPTIMIZERS.update(
    {
        "lamb": (
            ADAM + ["decay", "trust"],
            lamb,
            from_optax(optax_lamb, lambda s: {"m": s[0].mu, "v": s[0].nu}, optax_label("lamb(weight_decay)")),
        ),
        "lamb@optax": (
            ADAM + ["eps_root", "decay", "trust"],
            lamb,
            from_optax(optax_lamb, lambda s: {"m": s[0].mu, "v": s[0].nu}, optax_label("lamb")),
        ),
        "lamb@keras": (
            ADAM + ["decay", "trust"],
            lamb_decayed,
            from_keras(
                lambda h: keras.optimizers.Lamb(h.lr, h.beta1, h.beta2, h.eps, weight_decay=h.decay or None),
                lambda o: {"m": o._momentums[0].value, "v": o._velocities[0].value},
                keras_label("Lamb"),
            ),
        ),
        "lamb@paper": (
            ADAM + ["decay", "trust", "norm_min", "norm_max"],
            lamb_bounded,
            from_formula(lamb_bounded, "You et al. 2020, algorithm 2"),
        ),
        "lars": (
            ["lr", "decay", "trust", "momentum", "dampening"],
            lars,
            from_optax(
                lambda lr, h: optax.lars(lr, h.decay, trust_coefficient=h.trust, momentum=h.momentum),
                lambda s: {"buf": -s[-1].trace},
                optax_label("lars"),
            ),
        ),
        "lars@paper": (
            ["lr", "decay", "trust", "momentum", "dampening"],
            lars_paper,
            from_formula(lars_paper, "the formula of You, Gitman & Ginsburg 2017"),
        ),
        "novograd": (
            ADAM + ["decay"],
            novograd,
            from_optax(
                lambda lr, h: optax.novograd(lr, h.beta1, h.beta2, h.eps, weight_decay=h.decay),
                lambda s: {"m": s[0].mu, "v": s[0].nu},
                optax_label("novograd"),
            ),
        ),
        "novograd@paper": (
            ADAM + ["decay"],
            novograd,
            from_formula(novograd, "Ginsburg et al. 2019, algorithm 1"),
        ),
        "stable_adamw": (
            ADAM + ["decay"],
            stable_adamw,
            from_torch(
                lambda p, h: StableAdamW(p, h.lr, (h.beta1, h.beta2), weight_decay=h.decay, eps=h.eps, foreach=False),
                {"m": "exp_avg", "v": "exp_avg_sq"},
                f"pytorch_optimizer.StableAdamW {VERSIONS['pytorch_optimizer']}",
            ),
        ),
        "cautious_adamw": (
            ADAM + ["decay"],
            cautious_adamw,
            from_formula(cautious_adamw, "the formula of Liang et al. 2024 around AdamW"),
        ),
    }
)

HALF = [(31, 0.005)]
FEW = ["wide", "unit"]

CASES = sum(
    [
        case("lamb", "paper, decay 0.01", [1e-3, 0.9, 0.999, 1e-6, 0.01, 1], ALL),
        case("lamb", "strong decay", [0.01, 0.8, 0.95, 1e-6, 0.3, 1], FEW),
        case("lamb", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-6, 0.1, 1], FEW, HALF),
        case("lamb@optax", "defaults", [1e-3, 0.9, 0.999, 1e-6, 0, 0, 1], ALL),
        case("lamb@optax", "eps_root", [0.01, 0.8, 0.95, 1e-6, 1e-6, 0.1, 1], ["wide", "jump"]),
        case("lamb@keras", "defaults", [1e-3, 0.9, 0.999, 1e-7, 0, 1], ALL),
        case("lamb@keras", "strong decay", [0.05, 0.8, 0.95, 1e-7, 0.5, 1], ["unit", "sparse"]),
        case("lamb@keras", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-7, 0.1, 1], FEW, HALF),
        case("lamb@paper", "norms up to 10", [1e-3, 0.9, 0.999, 1e-6, 0.01, 1, 0, 10], ALL),
        case("lamb@paper", "narrow bounds", [0.01, 0.8, 0.95, 1e-6, 0.1, 1, 3, 3.5], ["unit", "jump"]),
        case("lars", "defaults", [1, 0, 1e-3, 0.9, 0], ALL),
        case("lars", "decay", [0.1, 0.1, 0.01, 0.5, 0], FEW),
        case("lars@paper", "paper", [1, 5e-4, 1e-3, 0.9, 0], ALL),
        case("lars@paper", "decay", [0.1, 0.5, 0.1, 0.5, 0], ["wide", "unit", "sparse"]),
        case("lars", "rate drops at step 31", [1, 1e-3, 1e-3, 0.9, 0], FEW, HALF),
        case("novograd", "defaults", [1e-3, 0.9, 0.25, 1e-6, 0], ALL),
        case("novograd", "paper's long memory, decay", [0.01, 0.95, 0.98, 1e-8, 1e-3], FEW),
        case("novograd", "rate drops at step 31", [0.01, 0.9, 0.25, 1e-6, 0.01], FEW, HALF),
        case("novograd@paper", "its authors' values", [0.01, 0.95, 0.98, 1e-8, 0], ALL),
        case("novograd@paper", "decay", [0.01, 0.95, 0.98, 1e-8, 0.002], FEW, HALF),
        case("stable_adamw", "defaults", [1e-3, 0.9, 0.99, 1e-8, 0.01], ALL),
        case("stable_adamw", "strong decay", [0.01, 0.8, 0.95, 1e-8, 0.3], ["unit", "jump"]),
        case("stable_adamw", "rate drops at step 31", [0.01, 0.9, 0.99, 1e-6, 0.1], FEW, HALF),
        case("cautious_adamw", "defaults", [1e-3, 0.9, 0.999, 1e-8, 0.01], ALL),
        case("cautious_adamw", "rate drops at step 31", [0.01, 0.8, 0.95, 1e-8, 0.1], FEW, HALF),
    ],
    [],
)
