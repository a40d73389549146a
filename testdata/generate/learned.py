"""Learned gains and rates that no library has. The reference is this project's own: the formulas as the papers and surveys give them,
written here apart from the Rust code, which has its gains in logarithms and its sums in blocks."""

import math

import numpy as np

from harness import OPTIMIZERS, case, clamp, ema, from_formula

# ------------------------------------------------------------------------------------------------------------------ formulas


def cosine(a, b):
    lengths = np.sqrt(np.sum(a * a)) * np.sqrt(np.sum(b * b))
    return np.sum(a * b) / lengths if lengths > 0 else 0 * lengths


def learn(h, ell, signal):
    return clamp(ell + h.gamma * clamp(signal, -h.clip, h.clip), np.log(h.nu_min), np.log(h.nu_max))


def meta_egd_sign(h, t, g, x, s):
    s.ell = learn(h, s.ell, np.sign(s.prev) * np.sign(g))
    s.prev = g
    return x - h.lr * np.exp(s.ell) * g


def meta_egd_sparse(h, t, g, x, s):
    s.ell = learn(h, s.ell, s.prev * g)
    s.prev = np.where(g == 0, s.prev, g)
    return x - h.lr * np.exp(s.ell) * g


def meta_egd_adam(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    direction = s.m / (1 - h.beta1**t) / (np.sqrt(s.v / (1 - h.beta2**t)) + h.eps)
    s.ell = learn(h, s.ell, np.sign(s.prev) * np.sign(g))
    s.prev = direction
    return x - h.lr * np.exp(s.ell) * direction


def meta_egd_tensor(h, t, g, x, s):
    ell = (0 * g[:1] if t == 1 else s.ell) + h.gamma * cosine(s.prev, g)
    s.ell = clamp(ell, np.log(h.nu_min), np.log(h.nu_max))
    s.prev = g
    return x - h.lr * np.exp(s.ell) * g


def sgd_hd_cosine(h, t, g, x, s):
    """Baydin et al. 2018, the multiplicative rule."""
    if t == 1:
        s.rate = h.lr + 0 * g[:1]
    s.rate = s.rate * (1 + h.hyper_lr * cosine(g, s.prev))
    s.prev = g
    return x - s.rate * g


def funnelled_sgdm(h, t, g, x, s):
    """Amid et al. 2022 as a survey transcribes it, gains and scale limited to [1e-3, 1e3]. Gains are kept as they are, not as logarithms."""
    low, high = h.lr * 0 + 1 / h.lr.dtype.type(1000), h.lr * 0 + 1000
    if t == 1:
        s._gain, s.scale = 1 + 0 * g, 1 + 0 * g[:1]
    s.scale = clamp(s.scale * np.exp(h.scale_lr * np.sum(s.buf * g)), low, high)
    s._gain = clamp(s._gain * np.exp(h.gain_lr * s.mean * g), low, high)
    s.mean = ema(h.beta, s.mean, g)
    s.buf = h.momentum * s.buf + h.lr * (s._gain * g)
    return x - s.scale * s.buf


def ours(rule, source):
    return rule, from_formula(rule, f"our own writing of {source}")


META = "MetaEGD, whose ingredients are those of Amid et al. 2022"
GAINS = ["lr", "gamma", "clip", "nu_min", "nu_max"]

OPTIMIZERS.update(
    {
        "meta_egd_sign": (GAINS, *ours(meta_egd_sign, META)),
        "meta_egd_sparse": (GAINS, *ours(meta_egd_sparse, META)),
        "meta_egd_adam": (GAINS + ["beta1", "beta2", "eps"], *ours(meta_egd_adam, META + ", around Adam")),
        "meta_egd_tensor": (["lr", "gamma", "nu_min", "nu_max"], *ours(meta_egd_tensor, META + ", one gain per tensor")),
        "sgd_hd_cosine": (["lr", "hyper_lr"], *ours(sgd_hd_cosine, "Baydin et al. 2018, the multiplicative rule")),
        "funnelled_sgdm": (
            ["lr", "momentum", "beta", "gain_lr", "scale_lr"],
            *ours(funnelled_sgdm, "Amid et al. 2022 as a public survey transcribes it"),
        ),
    }
)

# --------------------------------------------------------------------------------------------------------------------- cases

ALL = ["wide", "unit", "sparse", "jump", "steady"]
HALF = [(31, 0.005)]
ADAM = [0.9, 0.999, 1e-8]

CASES = sum(
    [
        # Of signs a gain's logarithm is a whole number of gammas, which may be 0: 1/64 and 1/8 are exact.
        case("meta_egd_sign", "defaults, gamma 1/64", [1e-3, 0.015625, 1, 1e-3, 1e3], ALL),
        case("meta_egd_sign", "fast, narrow gains", [0.05, 0.25, 0.5, 0.5, 2], ["unit", "steady"]),
        case("meta_egd_sign", "rate drops at step 31", [0.01, 0.125, 1, 1e-3, 1e3], ["wide", "sparse"], HALF),
        # Raw products: the gains of the wide and the jumping stream stand at their limits.
        case("meta_egd_sparse", "clip 1", [1e-3, 0.1, 1, 1e-3, 1e3], ALL),
        case("meta_egd_sparse", "no clip", [0.01, 0.02, math.inf, 1e-3, 1e3], ["unit", "sparse", "steady"]),
        case("meta_egd_sparse", "narrow gains", [0.05, 0.3, 2, 0.5, 2], ["sparse", "jump"]),
        case("meta_egd_adam", "defaults, gamma 1/64", [1e-3, 0.015625, 1, 1e-3, 1e3] + ADAM, ALL),
        case("meta_egd_adam", "fast gains", [0.01, 0.125, 1, 0.1, 10, 0.8, 0.95, 1e-6], ["unit", "steady"]),
        case("meta_egd_tensor", "defaults", [1e-3, 0.01, 1e-3, 1e3], ALL),
        case("meta_egd_tensor", "fast, narrow gains", [0.05, 0.5, 0.5, 2], ["unit", "steady"]),
        case("meta_egd_tensor", "rate drops at step 31", [0.01, 0.1, 1e-3, 1e3], ["sparse", "jump"], HALF),
        case("sgd_hd_cosine", "defaults", [1e-3, 0.02], ALL),
        case("sgd_hd_cosine", "fast", [0.05, 0.3], ["unit", "steady"]),
        case("funnelled_sgdm", "defaults", [1e-3, 0.9, 0.9, 0.01, 1e-3], ["unit", "sparse", "steady"]),
        case("funnelled_sgdm", "fast gains", [0.03, 0.8, 0.7, 0.2, 0.02], ["sparse", "steady"]),
        case("funnelled_sgdm", "gains at their limits", [1e-6, 0.9, 0.9, 1e-3, 1e-9], ["jump"]),
        case("funnelled_sgdm", "tiny rates", [1e-9, 0.9, 0.9, 1e-9, 1e-12], ["wide"]),
    ],
    [],
)
