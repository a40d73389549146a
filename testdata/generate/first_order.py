"""The first-order methods of the source documents: formulas, the libraries that have them, and the cases."""

import math

import numpy as np
import optax
import torch
from adabelief_pytorch import AdaBelief

from harness import (
    ALL,
    OPTIMIZERS,
    VERSIONS,
    case,
    clamp,
    close,
    ema,
    from_formula,
    from_keras,
    from_optax,
    from_torch,
    keras,
    keras_label,
    optax_label,
    run_rule,
    torch_label,
)

# ------------------------------------------------------------------------------------------------------------------ formulas


def gd(h, t, g, x, s):
    return x - h.lr * g


def momentum(h, t, g, x, s):
    s.buf = g if t == 1 else h.momentum * s.buf + (1 - h.dampening) * g
    return x - h.lr * s.buf


def momentum_sum(h, t, g, x, s):
    s.buf = h.momentum * s.buf + g
    return x - h.lr * s.buf


def nesterov_sum(h, t, g, x, s):
    s.buf = h.momentum * s.buf + g
    return x - h.lr * (g + h.momentum * s.buf)


def momentum_rate_inside(h, t, g, x, s):
    s.buf = h.momentum * s.buf + h.lr * g
    return x - s.buf


def nesterov_rate_inside(h, t, g, x, s):
    s.buf = h.momentum * s.buf + h.lr * g
    return x - (h.momentum * s.buf + h.lr * g)


def adagrad(h, t, g, x, s):
    s.sum = (h.initial + 0 * g if t == 1 else s.sum) + g * g
    return x - h.lr / (1 + (t - 1) * h.lr_decay) * g / (np.sqrt(s.sum) + h.eps)


def adagrad_inside(h, t, g, x, s):
    s.sum = (h.initial + 0 * g if t == 1 else s.sum) + g * g
    return x - h.lr * g / np.sqrt(s.sum + h.eps)


def rmsprop_with(denominator, momentum=None):
    def rule(h, t, g, x, s):
        s.v = ema(h.rho, h.initial + 0 * g if t == 1 else s.v, g * g)
        if denominator in (centered_outside, centered_inside):
            s.mean = ema(h.rho, s.mean, g)
        u = g / denominator(s, h.eps)
        if momentum is None:
            return x - h.lr * u
        if momentum == "rate outside":
            s.buf = h.momentum * s.buf + u
            return x - h.lr * s.buf
        s.buf = h.momentum * s.buf + h.lr * u
        return x - s.buf

    return rule


def outside(s, eps):
    return np.sqrt(s.v) + eps


def inside(s, eps):
    return np.sqrt(s.v + eps)


def centered_outside(s, eps):
    return np.sqrt(s.v - s.mean * s.mean) + eps


def centered_inside(s, eps):
    return np.sqrt(s.v - s.mean * s.mean + eps)


def adadelta(h, t, g, x, s):
    s.v = ema(h.rho, s.v, g * g)
    u = np.sqrt(s.delta + h.eps) / np.sqrt(s.v + h.eps) * g
    s.delta = ema(h.rho, s.delta, u * u)
    return x - h.lr * u


def adam_direction(h, t, g, s, eps_root=0):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    return (s.m / (1 - h.beta1**t)) / (np.sqrt(s.v / (1 - h.beta2**t) + eps_root) + h.eps)


def adam(h, t, g, x, s):
    return x - h.lr * adam_direction(h, t, g, s)


def adam_root(h, t, g, x, s):
    return x - h.lr * adam_direction(h, t, g, s, h.eps_root)


def adam_eps_hat(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    return x - h.lr * np.sqrt(1 - h.beta2**t) / (1 - h.beta1**t) * s.m / (np.sqrt(s.v) + h.eps)


def adam_l2(h, t, g, x, s):
    return x - h.lr * adam_direction(h, t, g + h.decay * x, s)


def amsgrad(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    s.v_max = np.maximum(s.v_max, s.v)
    return x - h.lr * (s.m / (1 - h.beta1**t)) / (np.sqrt(s.v_max / (1 - h.beta2**t)) + h.eps)


def amsgrad_corrected(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    s.v_max = np.maximum(s.v_max, s.v / (1 - h.beta2**t))
    return x - h.lr * (s.m / (1 - h.beta1**t)) / (np.sqrt(s.v_max + h.eps_root) + h.eps)


def amsgrad_eps_hat(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    s.v_max = np.maximum(s.v_max, s.v)
    return x - h.lr * np.sqrt(1 - h.beta2**t) / (1 - h.beta1**t) * s.m / (np.sqrt(s.v_max) + h.eps)


def amsgrad_uncorrected(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    s.v_max = np.maximum(s.v_max, s.v)
    return x - h.lr * s.m / (np.sqrt(s.v_max) + h.eps)


def adamw(h, t, g, x, s):
    return x - h.lr * (adam_direction(h, t, g, s) + h.decay * x)


def adamw_root(h, t, g, x, s):
    return x - h.lr * (adam_direction(h, t, g, s, h.eps_root) + h.decay * x)


def adamw_eps_hat(h, t, g, x, s):
    return adam_eps_hat(h, t, g, x * (1 - h.lr * h.decay), s)


def adamw_paper(h, t, g, x, s):
    """Loshchilov & Hutter, algorithm 2, with the schedule multiplier at 1: the decay is not multiplied by the rate."""
    return x - (h.lr * adam_direction(h, t, g, s) + h.decay * x)


def adabelief(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.s = ema(h.beta2, s.s, (g - s.m) ** 2) + getattr(h, "eps_root", h.eps)
    return x - h.lr * (s.m / (1 - h.beta1**t)) / (np.sqrt(s.s / (1 - h.beta2**t)) + h.eps)


def adabelief_rectified(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.s = ema(h.beta2, s.s, (g - s.m) ** 2) + h.eps
    c1, c2 = 1 - h.beta1**t, 1 - h.beta2**t
    n_max = 2 / (1 - h.beta2) - 1
    n = n_max - 2 * t * h.beta2**t / c2
    if n < 5:
        return x - h.lr * s.m / c1
    rectifier = np.sqrt(c2 * (n - 4) * (n - 2) * n_max / ((n_max - 4) * (n_max - 2) * n))
    return x - h.lr * rectifier / c1 * s.m / (np.sqrt(s.s) + h.eps)


def meta_egd(h, t, g, x, s):
    product = clamp(s.prev * g, -h.clip, h.clip)
    s.ell = clamp(s.ell + h.gamma * product, np.log(h.nu_min), np.log(h.nu_max))
    s.prev = g
    return x - h.lr * np.exp(s.ell) * g


def meta_egd_momentum(h, t, g, x, s):
    product = clamp(s.buf * g, -h.clip, h.clip)
    s.ell = clamp(s.ell + h.gamma * product, np.log(h.nu_min), np.log(h.nu_max))
    s.buf = h.momentum * s.buf + g
    return x - h.lr * np.exp(s.ell) * s.buf


def egdd(h, t, g, x, s):
    if t == 1:
        s.gain, s.scale = 1 + 0 * g, 1 + 0 * g[:1]
    unit_g = g / (np.sqrt(np.sum(g * g)) + 1e-10)
    unit_buf = s.buf / (np.sqrt(np.sum(s.buf * s.buf)) + 1e-10)
    s.scale = clamp(s.scale * np.exp(h.scale_lr * np.sum(unit_g * unit_buf)), 0.1, 10.0)
    s.gain = clamp(s.gain * np.exp(h.gain_lr * np.sign(g) * np.sign(s.mean)), 0.01, 100.0)
    s.buf = h.momentum * s.buf + h.lr * s.gain * g
    s.mean = ema(h.beta, s.mean, g)
    return x - s.scale * s.buf


def egdd_product(h, t, g, x, s):
    if t == 1:
        s.gain, s.scale = 1 + 0 * g, 1 + 0 * g[:1]
    s.scale = clamp(s.scale * np.exp(h.scale_lr * np.sum(g * s.buf)), 0.1, 10.0)
    mean = s.mean / (1 - h.beta ** max(t - 1, 1))
    s.gain = clamp(s.gain * np.exp(h.gain_lr * g * mean), 0.01, 100.0)
    s.buf = h.momentum * s.buf + h.lr * s.gain * g
    s.mean = ema(h.beta, s.mean, g)
    return x - s.scale * s.buf


def sgd_hd(h, t, g, x, s):
    if t == 1:
        s.rate = h.lr + 0 * g[:1]
    s.rate = s.rate + h.hyper_lr * np.sum(g * s.prev)
    s.prev = g
    return x - s.rate * g


def adam_hd(h, t, g, x, s):
    if t == 1:
        s.rate = h.lr + 0 * g[:1]
    else:
        u = s.m / (np.sqrt(s.v) + h.eps) * np.sqrt(1 - h.beta2 ** (t - 1)) / (1 - h.beta1 ** (t - 1))
        s.rate = s.rate + h.hyper_lr * np.sum(g * u)
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    return x - s.rate * np.sqrt(1 - h.beta2**t) / (1 - h.beta1**t) * s.m / (np.sqrt(s.v) + h.eps)


def torch_sgd(**fixed):
    names = ["momentum", "dampening"]

    def make(p, h):
        given = {name: getattr(h, name) for name in names if hasattr(h, name)}
        return torch.optim.SGD(p, lr=h.lr, foreach=False, **given, **fixed)

    return make


def torch_rmsprop(centered, slots):
    def make(p, h):
        assert h.initial == 0
        mu = getattr(h, "momentum", 0.0)
        return torch.optim.RMSprop(p, lr=h.lr, alpha=h.rho, eps=h.eps, momentum=mu, centered=centered, foreach=False)

    theirs = {"v": "square_avg", "mean": "grad_avg", "buf": "momentum_buffer"}
    flags = ", ".join(["centered=True"] * centered + ["momentum"] * ("buf" in slots))
    name = f"RMSprop({flags})" if flags else "RMSprop"
    return from_torch(make, {ours: theirs[ours] for ours in slots}, torch_label(name))


def torch_adam(cls="Adam", slots=("m", "v"), flags="", **fixed):
    def make(p, h):
        return getattr(torch.optim, cls)(
            p,
            lr=h.lr,
            betas=(h.beta1, h.beta2),
            eps=h.eps,
            weight_decay=getattr(h, "decay", 0.0),
            foreach=False,
            fused=False,
            **fixed,
        )

    theirs = {"m": "exp_avg", "v": "exp_avg_sq", "v_max": "max_exp_avg_sq"}
    return from_torch(make, {ours: theirs[ours] for ours in slots}, torch_label(cls + flags))


def keras_adam(cls="Adam", slots=("m", "v"), flags="", **fixed):
    def make(h):
        decay = {"weight_decay": h.decay} if hasattr(h, "decay") else {}
        return getattr(keras.optimizers, cls)(
            learning_rate=h.lr, beta_1=h.beta1, beta_2=h.beta2, epsilon=h.eps, **decay, **fixed
        )

    theirs = {"m": "_momentums", "v": "_velocities", "v_max": "_velocity_hats"}
    return from_keras(
        make, lambda o: {ours: getattr(o, theirs[ours])[0].value for ours in slots}, keras_label(cls + flags)
    )


def keras_rmsprop(centered, slots):
    def make(h):
        assert h.initial == 0
        mu = getattr(h, "momentum", 0.0)
        return keras.optimizers.RMSprop(learning_rate=h.lr, rho=h.rho, epsilon=h.eps, momentum=mu, centered=centered)

    theirs = {"v": "_velocities", "mean": "_average_gradients", "buf": "_momentums"}
    flags = ", ".join(["centered=True"] * centered + ["momentum"] * ("buf" in slots))
    name = f"RMSprop({flags})" if flags else "RMSprop"
    return from_keras(make, lambda o: {ours: getattr(o, theirs[ours])[0].value for ours in slots}, keras_label(name))


def optax_rmsprop(centered, slots):
    def make(rate, h):
        mu = getattr(h, "momentum", None)
        return optax.rmsprop(
            rate, decay=h.rho, eps=h.eps, initial_scale=h.initial, centered=centered, momentum=mu
        )

    # The rate, with its minus sign, comes before the trace: ours has the other sign.
    read = {"v": lambda s: s[0].nu, "mean": lambda s: s[0].mu, "buf": lambda s: -s[2].trace}
    flags = ", ".join(["centered=True"] * centered + ["momentum"] * ("buf" in slots))
    name = f"rmsprop({flags})" if flags else "rmsprop"
    return from_optax(make, lambda s: {ours: read[ours](s) for ours in slots}, optax_label(name))


def official_adabelief(rectify):
    def make(p, h):
        return AdaBelief(
            p, lr=h.lr, betas=(h.beta1, h.beta2), eps=h.eps, weight_decay=0.0, rectify=rectify, print_change_log=False
        )

    label = f"adabelief-pytorch {VERSIONS['adabelief-pytorch']}, rectify={rectify}"
    return from_torch(make, {"m": "exp_avg", "s": "exp_avg_var"}, label)


ADAM = ["lr", "beta1", "beta2", "eps"]
RMS = ["lr", "rho", "eps"]
FROM = RMS + ["initial"]

OPTIMIZERS.update(
    {
        "gd": (["lr"], gd, from_torch(torch_sgd(), label=torch_label("SGD"))),
        "momentum": (
            ["lr", "momentum", "dampening"],
            momentum,
            from_torch(torch_sgd(), {"buf": "momentum_buffer"}, torch_label("SGD(momentum, dampening)")),
        ),
        "momentum@keras": (
            ["lr", "momentum"],
            momentum_rate_inside,
            from_keras(
                lambda h: keras.optimizers.SGD(learning_rate=h.lr, momentum=h.momentum),
                lambda o: {"buf": -o.momentums[0].value},
                keras_label("SGD(momentum)"),
            ),
        ),
        "momentum@optax": (
            ["lr", "momentum"],
            momentum_sum,
            from_optax(
                lambda lr, h: optax.sgd(lr, h.momentum), lambda s: {"buf": s[0].trace}, optax_label("sgd(momentum)")
            ),
        ),
        "nesterov": (
            ["lr", "momentum"],
            nesterov_sum,
            from_torch(
                torch_sgd(nesterov=True), {"buf": "momentum_buffer"}, torch_label("SGD(momentum, nesterov=True)")
            ),
        ),
        "nesterov@keras": (
            ["lr", "momentum"],
            nesterov_rate_inside,
            from_keras(
                lambda h: keras.optimizers.SGD(learning_rate=h.lr, momentum=h.momentum, nesterov=True),
                lambda o: {"buf": -o.momentums[0].value},
                keras_label("SGD(momentum, nesterov=True)"),
            ),
        ),
        "nesterov@optax": (
            ["lr", "momentum"],
            nesterov_sum,
            from_optax(
                lambda lr, h: optax.sgd(lr, h.momentum, nesterov=True),
                lambda s: {"buf": s[0].trace},
                optax_label("sgd(momentum, nesterov=True)"),
            ),
        ),
        "adagrad": (
            ["lr", "eps", "initial", "lr_decay"],
            adagrad,
            from_torch(
                lambda p, h: torch.optim.Adagrad(
                    p, lr=h.lr, eps=h.eps, initial_accumulator_value=h.initial, lr_decay=h.lr_decay, foreach=False
                ),
                {"sum": "sum"},
                torch_label("Adagrad"),
            ),
        ),
        "adagrad@optax": (
            ["lr", "eps", "initial"],
            adagrad_inside,
            from_optax(
                lambda lr, h: optax.adagrad(lr, initial_accumulator_value=h.initial, eps=h.eps),
                lambda s: {"sum": s[0].sum_of_squares},
                optax_label("adagrad"),
            ),
        ),
        "adagrad@keras": (
            ["lr", "eps", "initial"],
            adagrad_inside,
            from_keras(
                lambda h: keras.optimizers.Adagrad(
                    learning_rate=h.lr, initial_accumulator_value=h.initial, epsilon=h.eps
                ),
                lambda o: {"sum": o._accumulators[0].value},
                keras_label("Adagrad"),
            ),
        ),
        "rmsprop": (FROM, rmsprop_with(outside), torch_rmsprop(False, ["v"])),
        "rmsprop@optax": (FROM, rmsprop_with(inside), optax_rmsprop(False, ["v"])),
        "rmsprop@keras": (FROM, rmsprop_with(inside), keras_rmsprop(False, ["v"])),
        "rmsprop_centered": (FROM, rmsprop_with(centered_outside), torch_rmsprop(True, ["v", "mean"])),
        "rmsprop_centered@optax": (FROM, rmsprop_with(centered_inside), optax_rmsprop(True, ["v", "mean"])),
        "rmsprop_centered@keras": (FROM, rmsprop_with(centered_inside), keras_rmsprop(True, ["v", "mean"])),
        "rmsprop_momentum": (
            FROM + ["momentum"],
            rmsprop_with(outside, "rate outside"),
            torch_rmsprop(False, ["v", "buf"]),
        ),
        "rmsprop_momentum@optax": (
            FROM + ["momentum"],
            rmsprop_with(inside, "rate inside"),
            optax_rmsprop(False, ["v", "buf"]),
        ),
        "rmsprop_momentum@keras": (
            FROM + ["momentum"],
            rmsprop_with(inside, "rate inside"),
            keras_rmsprop(False, ["v", "buf"]),
        ),
        "rmsprop_centered_momentum": (
            FROM + ["momentum"],
            rmsprop_with(centered_outside, "rate outside"),
            torch_rmsprop(True, ["v", "mean", "buf"]),
        ),
        "rmsprop_centered_momentum@optax": (
            FROM + ["momentum"],
            rmsprop_with(centered_inside, "rate inside"),
            optax_rmsprop(True, ["v", "mean", "buf"]),
        ),
        "rmsprop_centered_momentum@keras": (
            FROM + ["momentum"],
            rmsprop_with(centered_inside, "rate inside"),
            keras_rmsprop(True, ["v", "mean", "buf"]),
        ),
        "adadelta": (
            RMS,
            adadelta,
            from_torch(
                lambda p, h: torch.optim.Adadelta(p, lr=h.lr, rho=h.rho, eps=h.eps, foreach=False),
                {"v": "square_avg", "delta": "acc_delta"},
                torch_label("Adadelta"),
            ),
        ),
        "adadelta@keras": (
            RMS,
            adadelta,
            from_keras(
                lambda h: keras.optimizers.Adadelta(learning_rate=h.lr, rho=h.rho, epsilon=h.eps),
                lambda o: {"v": o._accumulated_grads[0].value, "delta": o._accumulated_delta_vars[0].value},
                keras_label("Adadelta"),
            ),
        ),
        "adadelta@optax": (
            RMS,
            adadelta,
            from_optax(
                lambda lr, h: optax.adadelta(lr, rho=h.rho, eps=h.eps),
                lambda s: {"v": s[1].e_g, "delta": s[1].e_x},
                optax_label("adadelta"),
            ),
        ),
        "adam": (ADAM, adam, torch_adam()),
        "adam@optax": (
            ADAM + ["eps_root"],
            adam_root,
            from_optax(
                lambda lr, h: optax.adam(lr, h.beta1, h.beta2, h.eps, h.eps_root),
                lambda s: {"m": s[0].mu, "v": s[0].nu},
                optax_label("adam"),
            ),
        ),
        "adam@keras": (ADAM, adam_eps_hat, keras_adam()),
        "amsgrad": (ADAM, amsgrad, torch_adam(slots=("m", "v", "v_max"), flags="(amsgrad=True)", amsgrad=True)),
        "amsgrad@optax": (
            ADAM + ["eps_root"],
            amsgrad_corrected,
            from_optax(
                lambda lr, h: optax.amsgrad(lr, h.beta1, h.beta2, h.eps, h.eps_root),
                lambda s: {"m": s[0].mu, "v": s[0].nu, "v_max": s[0].nu_max},
                optax_label("amsgrad"),
            ),
        ),
        "amsgrad@keras": (
            ADAM,
            amsgrad_eps_hat,
            keras_adam(slots=("m", "v", "v_max"), flags="(amsgrad=True)", amsgrad=True),
        ),
        "amsgrad@paper": (
            ADAM,
            amsgrad_uncorrected,
            from_formula(amsgrad_uncorrected, "Reddi, Kale & Kumar 2018, algorithm 2, with ε"),
        ),
        "adam_l2": (ADAM + ["decay"], adam_l2, torch_adam(flags="(weight_decay)")),
        "adamw": (ADAM + ["decay"], adamw, torch_adam("AdamW")),
        "adamw@optax": (
            ADAM + ["eps_root", "decay"],
            adamw_root,
            from_optax(
                lambda lr, h: optax.adamw(lr, h.beta1, h.beta2, h.eps, h.eps_root, weight_decay=h.decay),
                lambda s: {"m": s[0].mu, "v": s[0].nu},
                optax_label("adamw"),
            ),
        ),
        "adamw@keras": (ADAM + ["decay"], adamw_eps_hat, keras_adam("AdamW")),
        "adamw@paper": (
            ADAM + ["decay"],
            adamw_paper,
            from_formula(adamw_paper, "Loshchilov & Hutter 2019, algorithm 2"),
        ),
        "adabelief": (ADAM, adabelief, official_adabelief(rectify=False)),
        "adabelief@optax": (
            ADAM + ["eps_root"],
            adabelief,
            from_optax(
                lambda lr, h: optax.adabelief(lr, h.beta1, h.beta2, h.eps, h.eps_root),
                lambda s: {"m": s[0].mu, "s": s[0].nu},
                optax_label("adabelief"),
            ),
        ),
        "adabelief_rectified": (ADAM, adabelief_rectified, official_adabelief(rectify=True)),
        "meta_egd": (
            ["lr", "gamma", "clip", "nu_min", "nu_max"],
            meta_egd,
            from_formula(meta_egd, "the corrected formula"),
        ),
        "meta_egd_momentum": (
            ["lr", "momentum", "gamma", "clip", "nu_min", "nu_max"],
            meta_egd_momentum,
            from_formula(meta_egd_momentum, "the corrected formula with momentum (E24)"),
        ),
        "egdd": (
            ["lr", "momentum", "beta", "gain_lr", "scale_lr"],
            egdd,
            from_formula(egdd, "the formula in the order of lingvo/core/egdd.py"),
        ),
        "egdd_product": (
            ["lr", "momentum", "beta", "gain_lr", "scale_lr"],
            egdd_product,
            from_formula(egdd_product, "the formula in the order of lingvo/core/egdd.py, use_signs and use_directions off"),
        ),
        "sgd_hd": (["lr", "hyper_lr"], sgd_hd, from_formula(sgd_hd, "the formula of Baydin et al. 2018")),
        "adam_hd": (ADAM + ["hyper_lr"], adam_hd, from_formula(adam_hd, "the formula of Baydin et al. 2018")),
    }
)

HALF = [(31, 0.005)]

# A parameter that passes close to zero keeps the absolute error of the steps behind it.
CROSSES_ZERO = dict(tolerance=4e-12, reason="a tiny parameter crosses zero: x is the difference of nearly equal sums")

CASES = sum(
    [
        case("gd", "torch default", [1e-3], ALL),
        case("gd", "large rate", [0.3], ["wide", "unit"]),
        case("gd", "rate drops at step 31", [0.01], ["wide", "unit"], HALF),
        # momentum: torch keeps the rate outside the buffer, keras inside; a change of rate tells them apart.
        case("momentum", "usual", [1e-3, 0.9, 0], ALL),
        case("momentum", "dampening", [0.01, 0.95, 0.3], ["wide", "sparse"]),
        case("momentum", "short memory", [0.1, 0.5, 0.9], ["wide", "jump"]),
        case("momentum", "rate drops at step 31", [0.01, 0.9, 0], ["wide", "unit"], HALF),
        case("momentum@keras", "usual", [0.01, 0.9], ALL),
        case("momentum@keras", "short memory", [0.1, 0.5], ["wide", "jump"]),
        case("momentum@keras", "rate drops at step 31", [0.01, 0.9], ["wide", "unit"], HALF),
        case("momentum@optax", "usual", [1e-3, 0.9], ALL),
        case("momentum@optax", "rate drops at step 31", [0.01, 0.9], ["wide", "unit"], HALF),
        case("nesterov", "usual", [1e-3, 0.9], ALL),
        case("nesterov", "long memory", [0.01, 0.99], ["wide", "sparse"]),
        case("nesterov", "rate drops at step 31", [0.01, 0.9], ["wide", "unit"], HALF),
        case("nesterov@keras", "usual", [0.01, 0.9], ALL),
        case("nesterov@keras", "short memory", [0.1, 0.5], ["wide", "jump"]),
        case("nesterov@keras", "rate drops at step 31", [0.01, 0.9], ["wide", "unit"], HALF),
        case("nesterov@optax", "usual", [1e-3, 0.9], ALL),
        case("nesterov@optax", "rate drops at step 31", [0.01, 0.9], ["wide", "unit"], HALF),
        case("adagrad", "torch defaults", [0.01, 1e-10, 0, 0], ALL),
        case("adagrad", "rate decays", [0.1, 1e-10, 0, 0.05], ["wide", "unit"]),
        case("adagrad", "initial sum and large eps", [0.5, 0.01, 0.1, 0], ["wide", "sparse"]),
        case("adagrad@optax", "defaults", [0.01, 1e-7, 0.1], ALL),
        # No initial sum: a zero gradient meets a zero sum, where optax steps by exactly 0 and the others by 0/sqrt(eps).
        case("adagrad@optax", "no initial sum", [0.1, 1e-7, 0], ["wide", "sparse"]),
        case("adagrad@optax", "large eps", [0.5, 0.01, 0.5], ["wide", "jump"]),
        case("adagrad@keras", "defaults", [1e-3, 1e-7, 0.1], ALL),
        case("adagrad@keras", "no initial sum", [0.1, 1e-7, 0], ["wide", "sparse"]),
        case("adagrad@keras", "large eps", [0.5, 0.01, 0.5], ["wide", "jump"]),
        case("rmsprop", "torch defaults", [0.01, 0.99, 1e-8, 0], ALL),
        case("rmsprop", "short memory", [1e-3, 0.9, 1e-8, 0], ["wide", "jump"]),
        case("rmsprop", "large eps", [0.1, 0.5, 0.1, 0], ["wide", "sparse"]),
        case("rmsprop@optax", "defaults", [1e-3, 0.9, 1e-8, 0], ALL),
        case("rmsprop@optax", "long memory", [0.01, 0.99, 1e-8, 0], ["wide", "jump"]),
        case("rmsprop@optax", "large eps", [0.1, 0.5, 0.1, 0], ["wide", "sparse"]),
        # The start of TensorFlow 1 and timm, with timm's eps.
        case("rmsprop@optax", "from 1, as timm", [0.01, 0.9, 1e-10, 1], ALL),
        case("rmsprop@keras", "defaults", [1e-3, 0.9, 1e-7, 0], ALL),
        case("rmsprop@keras", "long memory", [0.01, 0.99, 1e-7, 0], ["wide", "jump"]),
        case("rmsprop@keras", "large eps", [0.1, 0.5, 0.1, 0], ["wide", "sparse"]),
        case("rmsprop_centered", "torch defaults", [0.01, 0.99, 1e-8, 0], ALL),
        case("rmsprop_centered", "short memory", [1e-3, 0.9, 1e-8, 0], ["wide", "jump"]),
        case("rmsprop_centered", "large eps", [0.1, 0.6, 0.1, 0], ["wide", "sparse"]),
        case("rmsprop_centered@optax", "defaults", [1e-3, 0.9, 1e-8, 0], ALL),
        case("rmsprop_centered@optax", "large eps", [0.1, 0.6, 0.1, 0], ["wide", "sparse"]),
        case("rmsprop_centered@optax", "from 1", [0.01, 0.6, 0.1, 1], ["wide", "sparse"]),
        case("rmsprop_centered@keras", "defaults", [1e-3, 0.9, 1e-7, 0], ALL),
        case("rmsprop_centered@keras", "large eps", [0.1, 0.6, 0.1, 0], ["wide", "sparse"]),
        case("rmsprop_momentum", "torch defaults with momentum", [0.01, 0.99, 1e-8, 0, 0.9], ALL),
        case("rmsprop_momentum", "short memory", [1e-3, 0.9, 1e-8, 0, 0.5], ["wide", "jump"]),
        case("rmsprop_momentum", "rate drops at step 31", [0.01, 0.9, 1e-8, 0, 0.9], ["wide", "unit"], HALF),
        case("rmsprop_momentum@optax", "defaults with momentum", [1e-3, 0.9, 1e-8, 0, 0.9], ALL),
        case("rmsprop_momentum@optax", "rate drops at step 31", [0.01, 0.9, 1e-8, 0, 0.9], ["wide", "unit"], HALF),
        case("rmsprop_momentum@optax", "from 1, as timm", [0.01, 0.9, 1e-10, 1, 0.9], ["wide", "jump"]),
        case("rmsprop_momentum@keras", "defaults with momentum", [1e-3, 0.9, 1e-7, 0, 0.9], ALL),
        case("rmsprop_momentum@keras", "rate drops at step 31", [0.01, 0.9, 1e-7, 0, 0.9], ["wide", "unit"], HALF),
        case("rmsprop_centered_momentum", "torch defaults with momentum", [0.01, 0.99, 1e-8, 0, 0.9], ALL),
        case("rmsprop_centered_momentum", "large eps", [0.1, 0.6, 0.1, 0, 0.5], ["wide", "sparse"]),
        case("rmsprop_centered_momentum", "rate drops at step 31", [0.01, 0.9, 1e-8, 0, 0.9], ["wide", "unit"], HALF),
        case("rmsprop_centered_momentum@optax", "defaults with momentum", [1e-3, 0.9, 1e-8, 0, 0.9], ALL),
        case("rmsprop_centered_momentum@optax", "from 1", [0.01, 0.6, 0.1, 1, 0.5], ["wide", "sparse"]),
        case("rmsprop_centered_momentum@optax", "rate drops at step 31", [0.01, 0.9, 1e-8, 0, 0.9], ["unit"], HALF),
        case("rmsprop_centered_momentum@keras", "defaults with momentum", [1e-3, 0.9, 1e-7, 0, 0.9], ALL),
        case("rmsprop_centered_momentum@keras", "rate drops at step 31", [0.01, 0.9, 1e-7, 0, 0.9], ["unit"], HALF),
        case("adadelta", "torch defaults", [1.0, 0.9, 1e-6], ALL),
        case("adadelta", "paper, eps 1e-2", [1.0, 0.95, 1e-2], ["wide", "jump"]),
        case("adadelta", "short memory", [0.3, 0.5, 1e-8], ["wide", "sparse"]),
        case("adadelta@keras", "defaults", [1e-3, 0.95, 1e-7], ALL),
        case("adadelta@keras", "short memory", [1.0, 0.5, 1e-4], ["wide", "sparse"]),
        # optax.adadelta without a rate climbs (the sign is never turned); a rate is always given here.
        case("adadelta@optax", "defaults, rate 1", [1.0, 0.9, 1e-6], ALL),
        case("adadelta@optax", "short memory", [0.3, 0.5, 1e-4], ["wide", "sparse"]),
        case("adam", "torch defaults", [1e-3, 0.9, 0.999, 1e-8], ALL),
        case("adam", "short second memory", [0.01, 0.5, 0.9, 1e-8], ["wide", "jump"]),
        case("adam", "no first memory", [1e-3, 0, 0.99, 1e-8], ["wide", "sparse"]),
        case("adam", "large eps", [0.1, 0.9, 0.999, 0.1], ["wide", "unit"]),
        case("adam", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-8], ["wide", "unit"], HALF),
        case("adam@optax", "defaults", [1e-3, 0.9, 0.999, 1e-8, 0], ALL),
        case("adam@optax", "eps_root", [0.01, 0.9, 0.99, 1e-8, 1e-6], ["wide", "sparse"]),
        case("adam@keras", "defaults", [1e-3, 0.9, 0.999, 1e-7], ALL),
        case("adam@keras", "short second memory", [0.01, 0.5, 0.9, 1e-7], ["wide", "jump"]),
        case("adam@keras", "large eps", [0.1, 0.9, 0.999, 0.1], ["wide", "sparse"]),
        case("amsgrad", "torch defaults", [1e-3, 0.9, 0.999, 1e-8], ALL),
        case("amsgrad", "short second memory", [0.01, 0.5, 0.9, 1e-8], ["wide", "jump"]),
        case("amsgrad", "large eps", [0.1, 0.9, 0.99, 0.1], ["wide", "sparse"]),
        case("amsgrad@optax", "defaults", [1e-3, 0.9, 0.999, 1e-8, 0], ALL),
        case("amsgrad@optax", "short second memory, eps_root", [0.01, 0.5, 0.9, 1e-8, 1e-6], ["wide", "jump"]),
        case("amsgrad@keras", "defaults", [1e-3, 0.9, 0.999, 1e-7], ALL),
        case("amsgrad@keras", "short second memory", [0.01, 0.5, 0.9, 1e-7], ["wide", "jump"]),
        case("amsgrad@paper", "defaults", [1e-3, 0.9, 0.999, 1e-8], ALL),
        case("amsgrad@paper", "short second memory", [0.01, 0.5, 0.9, 1e-8], ["wide", "jump"]),
        case("adam_l2", "torch, decay 0.01", [1e-3, 0.9, 0.999, 1e-8, 0.01], ALL[1:]),
        case("adam_l2", "torch, decay 0.01", [1e-3, 0.9, 0.999, 1e-8, 0.01], ["wide"], **CROSSES_ZERO),
        case("adam_l2", "strong decay", [0.01, 0.8, 0.95, 1e-8, 0.3], ["wide", "unit"]),
        case("adam_l2", "large eps", [0.1, 0.9, 0.99, 0.1, 0.1], ["wide", "sparse"]),
        case("adamw", "torch defaults", [1e-3, 0.9, 0.999, 1e-8, 0.01], ALL),
        case("adamw", "strong decay", [0.01, 0.8, 0.95, 1e-8, 0.3], ["wide", "unit"]),
        case("adamw", "large eps", [0.1, 0.9, 0.99, 0.1, 0.1], ["wide", "sparse"]),
        case("adamw", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-8, 0.1], ["wide", "unit"], HALF),
        case("adamw@optax", "defaults", [1e-3, 0.9, 0.999, 1e-8, 0, 1e-4], ALL),
        case("adamw@optax", "eps_root, strong decay", [0.01, 0.8, 0.95, 1e-8, 1e-6, 0.3], ["wide", "jump"]),
        case("adamw@optax", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-8, 0, 0.1], ["wide", "unit"], HALF),
        case("adamw@keras", "defaults", [1e-3, 0.9, 0.999, 1e-7, 4e-3], ALL),
        case("adamw@keras", "strong decay", [0.01, 0.8, 0.95, 1e-7, 0.3], ["wide", "jump"]),
        case("adamw@keras", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-7, 0.1], ["wide", "unit"], HALF),
        # No case changes the rate here: the paper's schedule scales decay and rate together, which `lr_schedule` cannot say.
        case("adamw@paper", "decay 1e-4", [1e-3, 0.9, 0.999, 1e-8, 1e-4], ALL),
        case("adamw@paper", "strong decay", [0.01, 0.8, 0.95, 1e-8, 0.05], ["wide", "unit"]),
        case("adabelief", "eps 1e-16", [1e-3, 0.9, 0.999, 1e-16], ALL[1:]),
        case("adabelief", "eps 1e-16", [1e-3, 0.9, 0.999, 1e-16], ["wide"], **CROSSES_ZERO),
        case("adabelief", "eps 1e-8", [0.01, 0.9, 0.999, 1e-8], ["wide", "unit"]),
        case("adabelief", "short memory, large eps", [0.1, 0.5, 0.9, 1e-3], ["wide", "jump"]),
        case("adabelief@optax", "defaults", [1e-3, 0.9, 0.999, 1e-16, 1e-16], ALL[1:]),
        case("adabelief@optax", "defaults", [1e-3, 0.9, 0.999, 1e-16, 1e-16], ["wide"], **CROSSES_ZERO),
        case("adabelief@optax", "short memory, eps_root", [0.01, 0.5, 0.9, 1e-8, 1e-6], ["wide", "jump"]),
        case("adabelief_rectified", "official defaults", [1e-3, 0.9, 0.999, 1e-16], ALL[1:]),
        case("adabelief_rectified", "official defaults", [1e-3, 0.9, 0.999, 1e-16], ["wide"], **CROSSES_ZERO),
        case("adabelief_rectified", "shorter memory", [0.01, 0.8, 0.95, 1e-8], ["wide", "jump"]),
        # beta2 = 0.5: the sum of weights never reaches 5, every step is a momentum step.
        case("adabelief_rectified", "never rectified", [0.01, 0.9, 0.5, 1e-8], ["wide", "unit"]),
        # The raw product of gradients is clipped on streams where exp(gamma * product) would only hit the gain limits.
        case("meta_egd", "clip 1", [1e-3, 0.1, 1, 1e-3, 1e3], ALL + ["steady"]),
        case("meta_egd", "no clip", [0.01, 0.02, math.inf, 1e-3, 1e3], ["unit", "sparse", "steady"]),
        case("meta_egd", "narrow gains", [0.05, 0.3, 2, 0.5, 2], ["unit", "jump"]),
        case("meta_egd_momentum", "clip 1", [1e-3, 0.9, 0.1, 1, 1e-3, 1e3], ALL + ["steady"]),
        case("meta_egd_momentum", "no clip", [0.01, 0.5, 0.02, math.inf, 1e-3, 1e3], ["unit", "sparse", "steady"]),
        case("egdd", "lingvo defaults", [1e-3, 0.9, 0.9, 0.01, 0.001], ALL + ["steady"]),
        case("egdd", "fast gains", [0.01, 0.5, 0.8, 0.3, 0.2], ["wide", "steady"]),
        case("egdd_product", "lingvo defaults", [1e-3, 0.9, 0.9, 0.01, 0.001], ["unit", "sparse", "jump", "steady"]),
        case("egdd_product", "fast gains", [0.01, 0.5, 0.8, 0.3, 0.2], ["unit", "steady"]),
        case("egdd_product", "everything at its limit", [1e-6, 0.9, 0.9, 1e-3, 1e-3], ["wide"]),
        # hyper_lr is small enough for the rate to stay positive: the official code does not clamp it.
        case("sgd_hd", "rate grows and shrinks", [0.01, 1e-4], ["unit", "sparse", "steady"]),
        case("sgd_hd", "fast", [0.1, 1e-3], ["sparse", "steady"]),
        case("sgd_hd", "tiny", [1e-3, 1e-17], ["wide"]),
        case("adam_hd", "official eps", [1e-3, 0.9, 0.999, 1e-8, 1e-6], ["unit", "sparse", "steady"]),
        case("adam_hd", "fast", [0.01, 0.8, 0.95, 1e-8, 1e-4], ["unit", "sparse", "steady"]),
        case("adam_hd", "tiny", [1e-3, 0.9, 0.999, 1e-8, 1e-11], ["wide", "jump"]),
    ],
    [],
)


# ----------------------------------------------------------------------------------------------------------------- self-check
# Numbers known beforehand: the formulas above must reproduce them before anything is written.


def self_check():
    curvature = np.array([1.0, 10.0, 100.0])
    start = [1.0, 1.0, 1.0]

    def bowl(x):
        return curvature * x

    def f(x):
        return 0.5 * float(np.sum(curvature * x * x))

    def meta(gamma, clip=math.inf, **more):
        return dict(lr=1e-3, gamma=gamma, clip=clip, nu_min=1e-3, nu_max=1e3, **more)

    # X07: gains and position of MetaEGD on the bowl.
    gains = []
    watch = lambda t, x, s: gains.append(np.exp(s.ell))
    path, slots = run_rule(meta_egd, meta(1e-4), bowl, start, 200, watch=watch)
    close(gains[0], [1, 1, 1], 12)
    close(gains[1], [1.0000999, 1.00994917, 2.45960311], 7)
    close(gains[2], [1.00019962, 1.0197954, 4.53022745], 7)
    close(gains[-1], [1.01653, 1.49627, 6.2394170387], 5)
    close(gains[-1][2], 6.2394170387, 9)
    close(f(path[-1]), 0.351922944506, 9)
    close(path[-1][:2], [0.8172089460432745, 0.06001285488934837], 12)
    assert abs(path[-1][2] / 8.89e-85 - 1) < 1e-3
    # X08: the defaults of the source text diverge; clipping the product reverses the order of the gains.
    gains = []
    with np.errstate(over="ignore", invalid="ignore"):
        path, _ = run_rule(meta_egd, meta(0.1), bowl, start, 200, watch=watch)
        assert any(np.isinf(f(x)) for x in path)
    close(gains[1][2], 1000, 12)
    path, slots = run_rule(meta_egd, meta(0.1, 1.0), bowl, start, 200)
    close(np.exp(slots["ell"]), [51.60089436, 28.18444499, 5.41806247], 8)
    assert abs(f(path[-1]) / 1.966e-08 - 1) < 1e-3
    path, slots = run_rule(meta_egd, meta(0.01, 1.0), bowl, start, 500)
    close(np.exp(slots["ell"]), [5.93032131, 3.78158069, 1.48037137], 8)
    assert abs(f(path[-1]) / 7.277e-03 - 1) < 1e-3
    # X09: which product moves which gain.
    gains = []
    rows = [[1, -2], [0.5, 1], [2, 0.25], [-1, 3]]
    run_rule(meta_egd, meta(0.1), rows, [0.0, 0.0], 4, watch=watch)
    close(gains[2], [1.16183424, 0.83945702], 8)
    # X15: EGDD.
    printed = {
        3: (1.002001507341, [1.02020134] * 3, [0.994348207434, 0.94392193034, 0.482284010273]),
        10: (
            1.000495949009,
            [1.0941742837, 1.0941742837, 0.9900498337],
            [0.957522034641, 0.609072078804, -0.593530338315],
        ),
        200: (1.054368129778, [5.2069798272, 1.6989323086, 1.0100501671], None),
    }
    hypers = dict(lr=1e-3, momentum=0.9, beta=0.9, gain_lr=0.01, scale_lr=0.001)
    for steps, (scale, gain, x) in printed.items():
        path, slots = run_rule(egdd, hypers, bowl, start, steps)
        close(slots["scale"], scale, 11)
        close(slots["gain"], gain, 8)
        if x:
            close(path[-1], x, 11)
        else:
            close(f(path[-1]), 5.837118e-07, 6)
    # X16: hypergradient descent.
    path, slots = run_rule(sgd_hd, dict(lr=1e-3, hyper_lr=1e-8), bowl, start, 5)
    close(slots["rate"], 1.266900268607e-03, 11)
    close(path[-1], [0.99426921, 0.94386299, 0.54311132], 7)
    adam_like = dict(beta1=0.9, beta2=0.999, eps=1e-8)
    path, slots = run_rule(adam_hd, dict(lr=1e-3, hyper_lr=1e-4, **adam_like), bowl, start, 50)
    close(slots["rate"], 1.039836372345e-01, 11)
    close(path[-1], [0.10040136] * 3, 6)
    # X47: ten steps on the bowl.
    ten = [
        (meta_egd, meta(1e-4), [9.900404472953e-01, 9.004175043698e-01, 4.470823254313e-04]),
        (meta_egd, meta(0.1, 1.0), [0.983851968296, 0.848028309929, 0.165373448951]),
        (meta_egd_momentum, meta(1e-5, momentum=0.9), [0.958971766645, 0.615756356179, -0.544476851733]),
        (sgd_hd, dict(lr=1e-3, hyper_lr=1e-8), [0.987608436733, 0.882142551682, 0.264001367403]),
        (adam_hd, dict(lr=1e-3, hyper_lr=1e-4, **adam_like), [0.543690457318, 0.543690404498, 0.543690399216]),
        (adam, dict(lr=0.05, **adam_like), [0.512293422884, 0.512293418118, 0.512293417642]),
        (amsgrad, dict(lr=0.05, **adam_like), [0.512293422884, 0.512293418118, 0.512293417642]),
        (adamw, dict(lr=0.05, decay=0.01, **adam_like), [0.508568677922, 0.508568673164, 0.508568672688]),
        (adam_l2, dict(lr=0.05, decay=0.01, **adam_like), [0.512293422832, 0.512293418118, 0.512293417642]),
        (adabelief, dict(lr=0.05, beta1=0.9, beta2=0.999, eps=1e-16), [0.353670312479] * 3),
        (
            adabelief_rectified,
            dict(lr=0.05, beta1=0.9, beta2=0.999, eps=1e-16),
            [0.749350475433, -0.375605650975, -2.584364207301],
        ),
        (adadelta, dict(lr=1.0, rho=0.9, eps=1e-6), [0.96659718637, 0.966597013507, 0.966597011779]),
        (
            adagrad,
            dict(lr=0.5, eps=1e-10, initial=0, lr_decay=0),
            [0.003105603449, 0.003105603447, 0.003105603446],
        ),
        (adagrad_inside, dict(lr=0.5, eps=1e-8, initial=0), [0.003105603576, 0.003105603448, 0.003105603446]),
        (rmsprop_with(outside), dict(lr=0.01, rho=0.9, eps=1e-8, initial=0), [0.832052418284, 0.832052415359, 0.832052415066]),
        (momentum_sum, dict(lr=0.01, momentum=0.9), [0.621079112471, -0.5887893888, 0.175316481]),
    ]
    for rule, hypers, printed in ten:
        path, _ = run_rule(rule, hypers, bowl, start, 10)
        assert np.allclose(path[-1], printed, rtol=1e-9, atol=2e-12), (rule.__name__, path[-1], printed)
