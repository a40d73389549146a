"""Methods that find their own learning rate from the distance travelled."""

import numpy as np
import torch
from dadaptation import DAdaptAdam, DAdaptSGD
from dog import DoG
from prodigyopt import Prodigy

import optax

from harness import (
    ALL,
    OPTIMIZERS,
    STEPS,
    VERSIONS,
    case,
    ema,
    from_optax,
    from_torch,
    optax_label,
)


def norm(a):
    return np.sqrt(np.sum(a * a))


# The distance itself is not recorded: x - x0 loses the digits that a small step has in common with x.
def dog(h, t, g, x, s):
    if t == 1:
        s._x0, s._sum = x, h.eps
        s._distance = np.atleast_1d(h.reps_rel * (1 + norm(x)))
    else:
        s._distance = np.maximum(s._distance, norm(x - s._x0))
    s._sum = s._sum + np.sum(g * g)
    return x - h.lr * s._distance / np.sqrt(s._sum) * g


def official_dog(h, stream, schedule):
    p = torch.tensor(stream["x0"], dtype=torch.float64, requires_grad=True)
    optimizer = DoG([p], reps_rel=h["reps_rel"], lr=h["lr"], eps=h["eps"])
    group, path = optimizer.param_groups[0], []
    for t in range(1, STEPS + 1):
        for start, lr in schedule:
            if t == start:
                group["lr"] = lr
        p.grad = torch.tensor(stream["g"][t - 1], dtype=torch.float64)
        optimizer.step()
        path.append(p.detach().numpy().copy())
    return path, {}


official_dog.label = f"dog-optimizer {VERSIONS['dog-optimizer']}"


def dowg(h, t, g, x, s):
    if t == 1:
        s._x0, s._v, s._distance = x, 0 * h.eps, h.first
    s._distance = np.maximum(s._distance, norm(x - s._x0))
    s._v = s._v + s._distance**2 * np.sum(g * g)
    return x - h.lr * s._distance**2 / (np.sqrt(s._v) + h.eps) * g


def prodigy(h, t, g, x, s, corrected=False, guarded=False):
    if t == 1:
        s._x0, s._d, s._d_max, s._numerator = x, h.d0, h.d0, 0 * h.d0
    d, beta3 = s._d, np.sqrt(h.beta2)
    step = d * h.lr
    if corrected:
        step = step * np.sqrt(1 - h.beta2**t) / (1 - h.beta1**t)
    numerator = beta3 * s._numerator + d / h.d0 * step * np.sum(g * (s._x0 - x))
    s.m = h.beta1 * s.m + d * (1 - h.beta1) * g
    s.v = h.beta2 * s.v + d * d * (1 - h.beta2) * g * g
    s.s = beta3 * s.s + d / h.d0 * (d if guarded else step) * g
    denominator = np.sum(np.abs(s.s))
    if denominator == 0:
        return x
    found = h.d_coef * numerator / denominator
    s._numerator, s._d_max = numerator, np.maximum(s._d_max, found)
    s._d = np.minimum(s._d_max, (np.maximum(d, found) if d == h.d0 else d) * h.growth)
    return x - h.decay * step * x - step * s.m / (np.sqrt(s.v) + s._d * h.eps)


def d_adapt_sgd(h, t, g, x, s):
    if t == 1:
        s._x0, s._d, s._numerator, s._first = x, h.d0, 0 * h.d0, norm(g)
    step = s._d * h.lr / s._first
    s._numerator = s._numerator + step * np.sum(g * s.s)
    s.s = s.s + step * g
    found = 2 * s._numerator / norm(s.s)
    s._d = np.maximum(s._d, np.minimum(found, s._d * h.growth))
    return h.momentum * x + (1 - h.momentum) * (s._x0 - s.s)


def d_adapt_adam(h, t, g, x, s):
    if t == 1:
        s._d, s._numerator = h.d0, 0 * h.d0
    step, beta = s._d * h.lr, np.sqrt(h.beta2)
    along = step * np.sum(g * s.s / (np.sqrt(s.v) + h.eps))
    s.m = h.beta1 * s.m + step * (1 - h.beta1) * g
    s.v = ema(h.beta2, s.v, g * g)
    s.s = beta * s.s + step * (1 - beta) * g
    size = np.sum(np.abs(s.s))
    if size == 0:
        return x
    s._numerator = beta * s._numerator + (1 - beta) * along
    found = s._numerator / ((1 - beta) * size)
    s._d = np.maximum(s._d, np.minimum(found, s._d * h.growth))
    return x - h.decay * step * x - s.m / (np.sqrt(s.v) + h.eps)


def mechanic(h, t, g, x, s):
    real = type(h.lr)
    betas = np.array([1 - real(10) ** -i for i in range(1, 7)])
    if t == 1:
        s._x0, s._scales = x, h.s_init * np.ones_like(betas)
        s._wealth, s._largest, s._squares = 0 * betas, 0 * betas, 0 * betas
    s.m, s.v = ema(h.beta1, s.m, g), ema(h.beta2, s.v, g * g)
    u = h.lr * (s.m / (1 - h.beta1**t)) / (np.sqrt(s.v / (1 - h.beta2**t)) + h.eps)
    scale = np.sum(s._scales)
    past = (s._x0 - x) / (scale + h.eps_s)
    bet = np.sum((g + h.pull * scale * norm(g) / (norm(x) + h.eps_s) * x) * past)
    s._wealth = betas * s._wealth + np.clip(bet, -s._largest, s._largest) * s._scales
    s._largest = np.maximum(betas * s._largest, np.abs(bet) + h.eps_s)
    s._squares = betas**2 * s._squares + bet**2
    s._scales = (h.s_init / 6 * s._largest + np.maximum(0, s._wealth)) / (np.sqrt(s._squares) + h.eps_s)
    return s._x0 - np.sum(s._scales) * (past + u)


MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq", "s": "s"}


def official_prodigy(**options):
    return from_torch(
        lambda p, h: Prodigy(
            p,
            lr=h.lr,
            betas=(h.beta1, h.beta2),
            eps=h.eps,
            weight_decay=h.decay,
            d0=h.d0,
            d_coef=h.d_coef,
            growth_rate=h.growth,
            **options,
        ),
        MOMENTS,
        f"prodigyopt {VERSIONS['prodigyopt']}",
    )


official_d_adapt_sgd = from_torch(
    lambda p, h: DAdaptSGD(p, lr=h.lr, momentum=h.momentum, d0=h.d0, growth_rate=h.growth),
    {"s": "s"},
    f"dadaptation.DAdaptSGD {VERSIONS['dadaptation']}",
)
official_d_adapt_adam = from_torch(
    lambda p, h: DAdaptAdam(
        p,
        lr=h.lr,
        betas=(h.beta1, h.beta2),
        eps=h.eps,
        weight_decay=h.decay,
        decouple=True,
        d0=h.d0,
        growth_rate=h.growth,
    ),
    MOMENTS,
    f"dadaptation.DAdaptAdam {VERSIONS['dadaptation']}",
)
optax_mechanic = from_optax(
    lambda lr, h: optax.contrib.mechanize(
        optax.adam(lr, b1=h.beta1, b2=h.beta2, eps=h.eps), weight_decay=h.pull, eps=h.eps_s, s_init=h.s_init
    ),
    lambda state: {"m": state.base_optimizer_state[0].mu, "v": state.base_optimizer_state[0].nu},
    optax_label("contrib.mechanize"),
)

optax_prodigy = from_optax(
    lambda lr, h: optax.contrib.prodigy(
        lr, (h.beta1, h.beta2), eps=h.eps, estim_lr0=h.d0, estim_lr_coef=h.d_coef, weight_decay=h.decay
    ),
    lambda state: {"m": state.exp_avg, "v": state.exp_avg_sq, "s": state.grad_sum},
    optax_label("contrib.prodigy"),
)

optax_dowg = from_optax(
    lambda lr, h: optax.contrib.dowg(lr, init_estim_sq_dist=h.first**2, eps=h.eps), label=optax_label("contrib.dowg")
)

PRODIGY = ["lr", "beta1", "beta2", "eps", "decay", "d0", "d_coef", "growth"]
OPTIMIZERS.update(
    {
        "dog": (["lr", "reps_rel", "eps"], dog, official_dog),
        "dowg": (["lr", "first", "eps"], dowg, optax_dowg),
        "prodigy": (PRODIGY, prodigy, official_prodigy()),
        "prodigy@optax": (PRODIGY, lambda *a: prodigy(*a, corrected=True), optax_prodigy),
        "prodigy_guarded": (
            PRODIGY,
            lambda *a: prodigy(*a, corrected=True, guarded=True),
            official_prodigy(use_bias_correction=True, safeguard_warmup=True),
        ),
        "d_adapt_sgd": (["lr", "momentum", "d0", "growth"], d_adapt_sgd, official_d_adapt_sgd),
        "d_adapt_adam": (
            ["lr", "beta1", "beta2", "eps", "decay", "d0", "growth"],
            d_adapt_adam,
            official_d_adapt_adam,
        ),
        "mechanic": (["lr", "beta1", "beta2", "eps", "s_init", "pull", "eps_s"], mechanic, optax_mechanic),
    }
)

LOST = "x0 - x has few digits while the steps are tiny, in any float64 code"

CASES = sum(
    [
        case("dog", "defaults", [1, 1e-6, 1e-8], ["wide", "jump"]),
        case("dog", "large first distance", [0.5, 1e-2, 1e-4], ["unit", "sparse", "jump"]),
        case("dog", "rate drops at step 31", [1, 1e-3, 1e-8], ["wide", "unit"], [(31, 0.25)]),
        case("dowg", "defaults", [1, 1e-2, 1e-4], ALL),
        case("dowg", "rate drops at step 31", [1, 0.5, 0], ["unit", "jump"], [(31, 0.25)]),
        case("prodigy", "defaults", [1, 0.9, 0.999, 1e-8, 0, 1e-6, 1, 1e308], ["unit", "sparse", "jump"], (), 1e-10, LOST),
        case("prodigy", "large first distance", [1, 0.9, 0.999, 1e-8, 0, 0.1, 1, 1e308], ["wide"], (), 1e-11, LOST),
        case("prodigy", "decay and slow growth", [1, 0.9, 0.99, 1e-8, 0.1, 1e-2, 2, 1.02], ["unit", "steady", "sparse"]),
        case("prodigy", "rate drops at step 31", [1, 0.8, 0.99, 1e-6, 0.01, 1e-3, 0.5, 1e308], ["jump"], [(31, 0.25)], 1e-11, LOST),
        case("prodigy@optax", "defaults", [1, 0.9, 0.999, 1e-8, 0, 1e-6, 1, 1e308], ["unit", "jump"], (), 1e-8, LOST),
        case("prodigy@optax", "large first distance", [1, 0.9, 0.999, 1e-8, 0, 0.1, 1, 1e308], ["wide"], (), 1e-11, LOST),
        case("prodigy@optax", "decay", [1, 0.9, 0.99, 1e-8, 0.1, 1e-2, 2, 1e308], ["unit", "steady"]),
        case("prodigy@optax", "rate drops at step 31", [1, 0.8, 0.99, 1e-6, 0.01, 1e-3, 0.5, 1e308], ["jump"], [(31, 0.25)], 1e-11, LOST),
        case("prodigy_guarded", "defaults", [1, 0.9, 0.999, 1e-8, 0, 1e-6, 1, 1e308], ["wide", "unit", "jump"]),
        case("prodigy_guarded", "decay", [1, 0.9, 0.99, 1e-8, 0.1, 1e-2, 1, 1.1], ["unit", "steady"]),
        case("d_adapt_sgd", "defaults", [1, 0, 1e-6, 1e308], ["wide", "unit", "jump", "steady"]),
        case("d_adapt_sgd", "momentum and slow growth", [0.5, 0.9, 1e-2, 1.02], ["unit", "jump", "steady"]),
        case("d_adapt_adam", "defaults", [1, 0.9, 0.999, 1e-8, 0, 1e-6, 1e308], ALL),
        case("d_adapt_adam", "decay and slow growth", [0.5, 0.8, 0.99, 1e-6, 0.1, 1e-2, 1.05], ["unit", "steady", "sparse"]),
        case("mechanic", "defaults", [1, 0.9, 0.999, 1e-8, 1e-6, 1e-2, 1e-8], ["unit", "sparse", "steady"], (), 1e-9, LOST),
        case("mechanic", "defaults", [1, 0.9, 0.999, 1e-8, 1e-6, 1e-2, 1e-8], ["jump"]),
        case("mechanic", "large first scale", [1, 0.9, 0.999, 1e-8, 1e-2, 1e-2, 1e-8], ["wide"]),
        case("mechanic", "larger start, no pull", [0.5, 0.9, 0.99, 1e-6, 1e-3, 0, 1e-6], ["unit", "jump"]),
    ],
    [],
)
