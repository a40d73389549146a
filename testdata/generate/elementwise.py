"""Methods of one coordinate beside Adam: formulas, the libraries that have them, and the cases."""

import numpy as np
import optax
import pytorch_optimizer
import torch

from harness import (
    ALL,
    OPTIMIZERS,
    case,
    clamp,
    ema,
    from_formula,
    from_keras,
    from_optax,
    from_torch,
    keras,
    keras_label,
    optax_label,
    pytorch_optimizer_label,
    torch_label,
)

# ------------------------------------------------------------------------------------------------------------------ formulas


def outside(h, v):
    return np.sqrt(v + getattr(h, "eps_root", 0)) + h.eps


def nadam_momenta(h, t, s):
    """Momentum of this step and the next, and the products of all momenta up to them."""
    mu, following = (h.beta1 * (1 - 0.5 * 0.96 ** (h.momentum_decay * k)) for k in (t, t + 1))
    s._product = mu * (1 if t == 1 else s._product)
    return mu, following, s._product, s._product * following


def nadam_direction(h, t, g, s):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    mu, following, product, next_product = nadam_momenta(h, t, s)
    ahead = following * s.m / (1 - next_product) + (1 - mu) * g / (1 - product)
    return ahead / outside(h, s.v / (1 - h.beta2**t))


def nadam(h, t, g, x, s):
    return x - h.lr * nadam_direction(h, t, g, s)


def nadamw(h, t, g, x, s):
    return x - h.lr * (nadam_direction(h, t, g, s) + h.decay * x)


def nadam_paper(h, t, g, x, s):
    """Dozat 2016, algorithm 2: the growing momentum is in m, and v is multiplied by beta2."""
    mu, following, product, next_product = nadam_momenta(h, t, s)
    s.m = ema(mu, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    ahead = following * s.m / (1 - next_product) + (1 - mu) * g / (1 - product)
    return x - h.lr * ahead / outside(h, h.beta2 * s.v / (1 - h.beta2**t))


def nadam_constant(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.v = ema(h.beta2, s.v, g * g)
    ahead = h.beta1 * s.m / (1 - h.beta1 ** (t + 1)) + (1 - h.beta1) * g / (1 - h.beta1**t)
    return x - h.lr * ahead / outside(h, s.v / (1 - h.beta2**t))


def radam_with(denominator):
    def rule(h, t, g, x, s):
        s.m = ema(h.beta1, s.m, g)
        s.v = ema(h.beta2, s.v, g * g)
        mean, fade = s.m / (1 - h.beta1**t), h.beta2**t
        most = 2 / (1 - h.beta2) - 1
        n = most - 2 * t * fade / (1 - fade)
        if n <= h.threshold:
            return x - h.lr * mean
        r = np.sqrt((n - 4) * (n - 2) * most / ((most - 4) * (most - 2) * n))
        return x - h.lr * r * mean / denominator(h, s.v, 1 - fade)

    return rule


def eps_hat(h, v, bias):
    return (np.sqrt(v + getattr(h, "eps_root", 0)) + h.eps) / np.sqrt(bias)


def no_eps(h, v, bias):
    """Where there was no gradient yet the numerator is 0, and 0/0 is meant to be 0."""
    return np.where(v > 0, np.sqrt(v / bias), 1)


def adamax(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.norm = np.maximum(h.beta2 * s.norm, np.abs(g) + h.eps)
    return x - h.lr / (1 - h.beta1**t) * s.m / s.norm


def adamax_eps_outside(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.norm = np.maximum(h.beta2 * s.norm, np.abs(g))
    return x - h.lr / (1 - h.beta1**t) * s.m / (s.norm + h.eps)


def adamax_paper(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    s.norm = np.maximum(h.beta2 * s.norm, np.abs(g))
    return x - h.lr / (1 - h.beta1**t) * s.m / np.where(s.norm > 0, s.norm, 1)


def rprop(h, t, g, x, s):
    if t == 1:
        s.step = h.lr + 0 * g
    product = s.prev * g
    factor = np.where(product > 0, h.eta_plus, np.where(product < 0, h.eta_minus, 1))
    s.step = clamp(s.step * factor, h.step_min, h.step_max)
    s.prev = np.where(product < 0, 0, g)
    return x - s.step * np.sign(s.prev)


def rprop_delayed(h, t, g, x, s):
    """optax moves by the step it has decided on one gradient before, unless the sign turns now."""
    if t == 1:
        s.step = h.lr + 0 * g
    product = s.prev * g
    factor = np.where(product > 0, h.eta_plus, np.where(product < 0, h.eta_minus, 1))
    s.step = clamp(s.step * factor, h.step_min, h.step_max)
    x = x - np.where(product < 0, 0, s.prev)
    s.prev = np.where(product < 0, 0, s.step * np.sign(g))
    return x


def asgd(h, t, g, x, s):
    rate = h.lr / (1 + h.decay * h.lr * (t - 1)) ** h.alpha
    x = x * (1 - h.decay * rate) - rate * g
    share = 1 / max(1, t - 1 - h.t0)
    s.average = s._view = x if share == 1 else s.average + share * (x - s.average)
    return x


def yogi_moments(h, t, g, s):
    if t == 1:
        s.m, s.v = getattr(h, "initial_m", 0) + 0 * g, h.initial + 0 * g
    s.m = ema(h.beta1, s.m, g)
    s.v = s.v - (1 - h.beta2) * np.sign(s.v - g * g) * (g * g)


def yogi(h, t, g, x, s):
    yogi_moments(h, t, g, s)
    return x - h.lr * s.m / outside(h, s.v)


def yogi_corrected(h, t, g, x, s):
    yogi_moments(h, t, g, s)
    return x - h.lr * (s.m / (1 - h.beta1**t)) / outside(h, s.v / (1 - h.beta2**t))


def lion(h, t, g, x, s):
    u = np.sign(ema(h.beta1, s.m, g))
    s.m = ema(h.beta2, s.m, g)
    return x - h.lr * (u + h.decay * x)


def signum(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, g)
    return x - h.lr * (np.sign(s.m) + getattr(h, "decay", 0) * x)


def sign_sgd(h, t, g, x, s):
    return x - h.lr * np.sign(g)


def adan_direction(h, t, g, s, weight):
    change = 0 * g if t == 1 else g - s.prev
    s.m = ema(h.beta1, s.m, g)
    s.diff = ema(h.beta2, s.diff, change)
    s.v = ema(h.beta3, s.v, (g + weight * change) ** 2)
    s.prev = g
    ahead = s.m / (1 - h.beta1**t) + weight * s.diff / (1 - h.beta2**t)
    return ahead / outside(h, s.v / (1 - h.beta3**t))


def adan(h, t, g, x, s):
    return (x - h.lr * adan_direction(h, t, g, s, h.beta2)) / (1 + h.lr * h.decay)


def adan_complement(h, t, g, x, s):
    return x - h.lr * (adan_direction(h, t, g, s, 1 - h.beta2) + h.decay * x)


def adopt_with(before):
    def rule(h, t, g, x, s):
        if t == 1:
            s.m, s.v = 0 * g, g * g
            return x
        limit = (t - before) ** h.clip_power
        s.m = ema(h.beta1, s.m, clamp(g / np.maximum(np.sqrt(s.v), h.eps), -limit, limit))
        s.v = ema(h.beta2, s.v, g * g)
        return x - h.lr * s.m

    return rule


def ademamix(h, t, g, x, s):
    alpha, beta3 = h.alpha, h.beta3
    if hasattr(h, "warmup"):
        share = min(1, t / h.warmup)
        fast, slow = np.log(h.beta1), np.log(h.beta3)
        alpha, beta3 = share * alpha, min(beta3, np.exp(fast * slow / ((1 - share) * slow + share * fast)))
    s.m = ema(h.beta1, s.m, g)
    s.slow = ema(beta3, s.slow, g)
    s.v = ema(h.beta2, s.v, g * g)
    u = (s.m / (1 - h.beta1**t) + alpha * s.slow) / outside(h, s.v / (1 - h.beta2**t))
    return x - h.lr * (u + h.decay * x)


def mars_gradient(h, g, s):
    c = g + h.gamma * h.beta1 / (1 - h.beta1) * (g - s.prev)
    norm = np.sqrt(np.sum(c * c))
    s.prev = g
    return c * (h.max_norm / norm) if norm > h.max_norm else c


def mars_with(denominator):
    def rule(h, t, g, x, s):
        c = mars_gradient(h, g, s)
        s.m = ema(h.beta1, s.m, c)
        s.v = ema(h.beta2, s.v, c * c)
        u = s.m / (1 - h.beta1**t) / denominator(h, s.v, 1 - h.beta2**t)
        return x - h.lr * (u + h.decay * x)

    return rule


def corrected_outside(h, v, bias):
    return outside(h, v / bias)


def mars_lion(h, t, g, x, s):
    s.m = ema(h.beta1, s.m, mars_gradient(h, g, s))
    return x - h.lr * (np.sign(s.m) + h.decay * x)


def laprop_with(denominator):
    def rule(h, t, g, x, s):
        s.v = ema(h.beta2, s.v, g * g)
        s.m = ema(h.beta1, s.m, g / denominator(h, s.v, 1 - h.beta2**t))
        return x - h.lr * (s.m / (1 - h.beta1**t) + h.decay * x)

    return rule


# ----------------------------------------------------------------------------------------------------------------- libraries


def with_float64_scalars(source):
    """torch keeps some scalars of its state in the default type, float32 unless it is told otherwise."""

    def run(h, stream, schedule):
        torch.set_default_dtype(torch.float64)
        try:
            return source(h, stream, schedule)
        finally:
            torch.set_default_dtype(torch.float32)

    run.label = source.label
    return run


def torch_optimizer(name, slots, flags="", **fixed):
    def make(p, h):
        given = {"betas": (h.beta1, h.beta2), "eps": h.eps}
        given |= {"momentum_decay": h.momentum_decay} if hasattr(h, "momentum_decay") else {}
        given |= {"weight_decay": h.decay} if hasattr(h, "decay") else {}
        return getattr(torch.optim, name)(p, lr=h.lr, foreach=False, **given, **fixed)

    return with_float64_scalars(from_torch(make, slots, torch_label(name + flags)))


TORCH_MOMENTS = {"m": "exp_avg", "v": "exp_avg_sq"}


def kozistr(name, make, slots, flags=""):
    """pytorch_optimizer, with the loop over parameters: its foreach path keeps some scalars in float32."""
    cls = getattr(pytorch_optimizer, name)
    return from_torch(
        lambda p, h: cls(p, lr=h.lr, foreach=False, **make(h)), slots, pytorch_optimizer_label(name + flags)
    )


def optax_moments(state):
    return {"m": state[0].mu, "v": state[0].nu}


def keras_optimizer(name, theirs, with_eps=True):
    def make(h):
        given = {"epsilon": h.eps} if with_eps else {}
        given |= {"weight_decay": h.decay} if getattr(h, "decay", 0) else {}
        return getattr(keras.optimizers, name)(learning_rate=h.lr, beta_1=h.beta1, beta_2=h.beta2, **given)

    return from_keras(
        make, lambda o: {ours: getattr(o, them)[0].value for ours, them in theirs.items()}, keras_label(name)
    )


def kozistr_mars(slots, mars_type):
    return kozistr(
        "MARS",
        lambda h: dict(
            betas=(h.beta1, getattr(h, "beta2", 0.99)),
            gamma=h.gamma,
            eps=getattr(h, "eps", 1e-8),
            weight_decay=h.decay,
            mars_type=mars_type,
            optimize_1d=True,
        ),
        slots,
        f"(mars_type='{mars_type}')",
    )


ADAM = ["lr", "beta1", "beta2", "eps"]
RPROP = ["lr", "eta_minus", "eta_plus", "step_min", "step_max"]
MARS = ["lr", "gamma", "beta1", "beta2", "max_norm", "eps"]
MIX = ["lr", "beta1", "beta2", "beta3", "alpha", "eps"]

OPTIMIZERS.update(
    {
        "nadam": (ADAM + ["momentum_decay"], nadam, torch_optimizer("NAdam", TORCH_MOMENTS)),
        "nadam@keras": (
            ADAM + ["momentum_decay"],
            nadam,
            keras_optimizer("Nadam", {"m": "_momentums", "v": "_velocities"}),
        ),
        "nadam@optax": (
            ADAM + ["eps_root"],
            nadam_constant,
            from_optax(
                lambda lr, h: optax.nadam(lr, h.beta1, h.beta2, h.eps, h.eps_root), optax_moments, optax_label("nadam")
            ),
        ),
        "nadam@paper": (
            ADAM + ["momentum_decay"],
            nadam_paper,
            from_formula(nadam_paper, "Dozat 2016, algorithm 2"),
        ),
        "nadamw": (
            ADAM + ["momentum_decay", "decay"],
            nadamw,
            torch_optimizer("NAdam", TORCH_MOMENTS, "(decoupled_weight_decay=True)", decoupled_weight_decay=True),
        ),
        "radam": (ADAM + ["threshold"], radam_with(eps_hat), torch_optimizer("RAdam", TORCH_MOMENTS)),
        "radam@optax": (
            ADAM + ["eps_root", "threshold"],
            radam_with(corrected_outside),
            from_optax(
                lambda lr, h: optax.radam(lr, h.beta1, h.beta2, h.eps, h.eps_root, h.threshold),
                optax_moments,
                optax_label("radam"),
            ),
        ),
        "radam@paper": (
            ADAM + ["threshold"],
            radam_with(no_eps),
            from_formula(radam_with(no_eps), "Liu et al. 2020, algorithm 2"),
        ),
        "adamax@paper": (ADAM, adamax_paper, from_formula(adamax_paper, "Kingma & Ba 2015, algorithm 2")),
        "adamax": (ADAM, adamax, torch_optimizer("Adamax", {"m": "exp_avg", "norm": "exp_inf"})),
        "adamax@optax": (
            ADAM,
            adamax,
            from_optax(
                lambda lr, h: optax.adamax(lr, h.beta1, h.beta2, h.eps),
                lambda s: {"m": s[0].mu, "norm": s[0].nu},
                optax_label("adamax"),
            ),
        ),
        "adamax@keras": (ADAM, adamax_eps_outside, keras_optimizer("Adamax", {"m": "_m", "norm": "_u"})),
        "rprop": (
            RPROP,
            rprop,
            from_torch(
                lambda p, h: torch.optim.Rprop(
                    p, lr=h.lr, etas=(h.eta_minus, h.eta_plus), step_sizes=(h.step_min, h.step_max), foreach=False
                ),
                {"prev": "prev", "step": "step_size"},
                torch_label("Rprop"),
            ),
        ),
        "rprop@optax": (
            RPROP,
            rprop_delayed,
            from_optax(
                lambda lr, h: optax.rprop(lr, h.eta_minus, h.eta_plus, h.step_min, h.step_max),
                lambda s: {"prev": s[0].prev_updates, "step": s[0].step_sizes},
                optax_label("rprop"),
            ),
        ),
        "asgd": (
            ["lr", "decay", "alpha", "t0"],
            asgd,
            with_float64_scalars(
                from_torch(
                    lambda p, h: torch.optim.ASGD(p, lr=h.lr, lambd=h.decay, alpha=h.alpha, t0=h.t0, foreach=False),
                    {"average": "ax"},
                    torch_label("ASGD"),
                    view="ax",
                )
            ),
        ),
        "yogi": (
            ADAM + ["initial"],
            yogi,
            from_formula(yogi, "Zaheer et al. 2018, algorithm 2"),
        ),
        "yogi@optax": (
            ADAM + ["eps_root", "initial", "initial_m"],
            yogi_corrected,
            from_optax(
                lambda lr, h: optax.chain(
                    optax.scale_by_yogi(h.beta1, h.beta2, h.eps, h.eps_root, h.initial),
                    optax.scale_by_learning_rate(lr),
                ),
                optax_moments,
                optax_label("yogi"),
            ),
        ),
        "lion": (
            ["lr", "beta1", "beta2", "decay"],
            lion,
            kozistr("Lion", lambda h: dict(betas=(h.beta1, h.beta2), weight_decay=h.decay), {"m": "exp_avg"}),
        ),
        "lion@optax": (
            ["lr", "beta1", "beta2", "decay"],
            lion,
            from_optax(
                lambda lr, h: optax.lion(lr, h.beta1, h.beta2, weight_decay=h.decay),
                lambda s: {"m": s[0].mu},
                optax_label("lion"),
            ),
        ),
        "lion@keras": (
            ["lr", "beta1", "beta2", "decay"],
            lion,
            keras_optimizer("Lion", {"m": "_momentums"}, with_eps=False),
        ),
        "signum": (
            ["lr", "beta1"],
            signum,
            from_optax(lambda lr, h: optax.signum(lr, h.beta1), lambda s: {"m": s[0].ema}, optax_label("signum")),
        ),
        "signum@pytorch_optimizer": (
            ["lr", "beta1", "decay"],
            signum,
            kozistr("SignSGD", lambda h: dict(momentum=h.beta1, weight_decay=h.decay), {"m": "momentum_buffer"}),
        ),
        "sign_sgd": (["lr"], sign_sgd, from_optax(lambda lr, h: optax.sign_sgd(lr), label=optax_label("sign_sgd"))),
        "adan": (
            ["lr", "beta1", "beta2", "beta3", "eps", "decay"],
            adan,
            kozistr(
                "Adan",
                lambda h: dict(betas=(h.beta1, h.beta2, h.beta3), eps=h.eps, weight_decay=h.decay),
                {
                    "m": "exp_avg",
                    "diff": "exp_avg_diff",
                    "v": "exp_avg_sq",
                    "prev": lambda state, h: -state["previous_grad"],
                },
            ),
        ),
        "adan@optax": (
            ["lr", "beta1", "beta2", "beta3", "eps", "eps_root", "decay"],
            adan_complement,
            from_optax(
                lambda lr, h: optax.adan(lr, h.beta1, h.beta2, h.beta3, h.eps, h.eps_root, weight_decay=h.decay),
                lambda s: {"m": s[0].m, "diff": s[0].v, "v": s[0].n, "prev": s[0].g},
                optax_label("adan"),
            ),
        ),
        "adopt": (
            ADAM + ["clip_power"],
            adopt_with(1),
            from_optax(
                lambda lr, h: optax.contrib.adopt(
                    lr, h.beta1, h.beta2, h.eps, clip_value_fn=lambda count: count**h.clip_power
                ),
                optax_moments,
                optax_label("contrib.adopt"),
            ),
        ),
        "adopt@pytorch_optimizer": (
            ADAM + ["clip_power"],
            adopt_with(0),
            kozistr(
                "ADOPT",
                lambda h: dict(
                    betas=(h.beta1, h.beta2), eps=h.eps, clip_lambda=lambda step: float(step) ** h.clip_power
                ),
                TORCH_MOMENTS,
            ),
        ),
        "ademamix": (
            MIX + ["decay"],
            ademamix,
            kozistr(
                "AdEMAMix",
                lambda h: dict(
                    betas=(h.beta1, h.beta2, h.beta3),
                    alpha=h.alpha,
                    eps=h.eps,
                    weight_decay=h.decay,
                    weight_decouple=True,
                ),
                TORCH_MOMENTS | {"slow": "exp_avg_slow"},
            ),
        ),
        "ademamix@optax": (
            MIX + ["eps_root", "decay"],
            ademamix,
            from_optax(
                lambda lr, h: optax.contrib.ademamix(
                    lr, h.beta1, h.beta2, h.beta3, h.alpha, h.eps, h.eps_root, weight_decay=h.decay
                ),
                lambda s: {"m": s[0].m1, "slow": s[0].m2, "v": s[0].nu},
                optax_label("contrib.ademamix"),
            ),
        ),
        "ademamix_scheduled": (
            MIX + ["warmup", "decay"],
            ademamix,
            kozistr(
                "AdEMAMix",
                lambda h: dict(
                    betas=(h.beta1, h.beta2, h.beta3),
                    alpha=h.alpha,
                    t_alpha_beta3=h.warmup,
                    eps=h.eps,
                    weight_decay=h.decay,
                    weight_decouple=True,
                ),
                TORCH_MOMENTS | {"slow": "exp_avg_slow"},
                "(t_alpha_beta3)",
            ),
        ),
        "mars": (
            MARS + ["decay"],
            mars_with(corrected_outside),
            from_formula(mars_with(corrected_outside), "Yuan et al. 2024, MARS-AdamW with the last gradient"),
        ),
        "mars@pytorch_optimizer": (
            MARS + ["eps_root", "decay"],
            mars_with(eps_hat),
            kozistr_mars(TORCH_MOMENTS | {"prev": "last_grad"}, "adamw"),
        ),
        "mars_lion": (
            ["lr", "gamma", "beta1", "max_norm", "decay"],
            mars_lion,
            kozistr_mars({"m": "exp_avg", "prev": "last_grad"}, "lion"),
        ),
        "laprop": (
            ADAM + ["decay"],
            laprop_with(corrected_outside),
            from_formula(laprop_with(corrected_outside), "Ziyin, Wang & Ueda 2020, algorithm 1"),
        ),
        "laprop@pytorch_optimizer": (
            ADAM + ["eps_root", "decay"],
            laprop_with(eps_hat),
            kozistr(
                "LaProp",
                lambda h: dict(betas=(h.beta1, h.beta2), eps=h.eps, weight_decay=h.decay),
                # Its momentum holds the learning rate, which is constant here.
                {"m": lambda state, h: state["exp_avg"] / h.lr, "v": "exp_avg_sq"},
            ),
        ),
    }
)

# --------------------------------------------------------------------------------------------------------------------- cases

HALF = [(31, 0.005)]

# RAdam's N is the difference of two numbers near 2,000, and its N - 4 decides how long the first rectified steps are.
CANCELS = "N is a difference of numbers near 2/(1 - beta2): the first rectified steps keep three digits fewer"
FEW_DIGITS = dict(tolerance=4e-12, reason=CANCELS)
FEWER_DIGITS = dict(tolerance=2e-11, reason=CANCELS + ", and jax's power is less exact")
NEAR_ONE = dict(
    tolerance=4e-12, reason="the scheduled beta3 leaves an exponential near 1: 1 - beta3 keeps four digits fewer"
)

CASES = sum(
    [
        case("nadam", "torch defaults", [2e-3, 0.9, 0.999, 1e-8, 4e-3], ALL),
        case("nadam", "momentum grows fast, short second memory", [0.01, 0.95, 0.9, 1e-8, 0.5], ["wide", "jump"]),
        case("nadam", "large eps, no growth", [0.1, 0.9, 0.99, 0.1, 0], ["wide", "sparse"]),
        case("nadam", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-8, 4e-3], ["wide", "unit"], HALF),
        case("nadam@keras", "defaults", [1e-3, 0.9, 0.999, 1e-7, 1], ALL),
        case("nadam@keras", "short second memory", [0.01, 0.5, 0.9, 1e-7, 1], ["wide", "jump"]),
        case("nadam@optax", "defaults", [1e-3, 0.9, 0.999, 1e-8, 0], ALL),
        case("nadam@optax", "short second memory, eps_root", [0.01, 0.5, 0.9, 1e-8, 1e-6], ["wide", "jump"]),
        case("nadam@paper", "the paper's momentum", [2e-3, 0.99, 0.999, 1e-8, 4e-3], ALL),
        case("nadam@paper", "short second memory", [0.01, 0.5, 0.9, 1e-8, 0.1], ["wide", "jump"]),
        case("nadamw", "torch, decay 0.01", [2e-3, 0.9, 0.999, 1e-8, 4e-3, 0.01], ALL),
        case("nadamw", "strong decay", [0.01, 0.8, 0.95, 1e-8, 0.1, 0.3], ["wide", "unit"]),
        case("radam", "torch defaults", [1e-3, 0.9, 0.999, 1e-8, 5], ALL[1:]),
        case("radam", "torch defaults", [1e-3, 0.9, 0.999, 1e-8, 5], ["wide"], **FEW_DIGITS),
        case("radam", "short second memory", [0.01, 0.5, 0.9, 1e-8, 5], ["wide", "jump"]),
        case("radam", "never rectified", [0.01, 0.9, 0.5, 1e-8, 5], ["wide", "unit"]),
        case("radam", "large eps", [0.1, 0.9, 0.99, 0.1, 5], ["unit", "sparse"]),
        case("radam", "rate drops at step 31", [0.01, 0.9, 0.99, 1e-8, 5], ["wide", "unit"], HALF),
        case("radam@optax", "defaults", [1e-3, 0.9, 0.999, 1e-8, 0, 5], ["sparse", "jump"]),
        case("radam@optax", "defaults", [1e-3, 0.9, 0.999, 1e-8, 0, 5], ["wide", "unit"], **FEWER_DIGITS),
        case("radam@optax", "the paper's threshold, eps_root", [0.01, 0.8, 0.95, 1e-8, 1e-6, 4], ["jump", "sparse"]),
        case("radam@paper", "paper", [1e-3, 0.9, 0.999, 0, 4], ALL, **FEW_DIGITS),
        case("radam@paper", "short second memory", [0.01, 0.5, 0.9, 0, 4], ["wide", "jump"]),
        case("radam@paper", "rate drops at step 31", [0.01, 0.9, 0.99, 0, 4], ["wide", "unit"], HALF),
        case("adamax", "torch defaults", [2e-3, 0.9, 0.999, 1e-8], ALL),
        case("adamax", "short norm", [0.01, 0.5, 0.9, 1e-8], ["wide", "jump"]),
        case("adamax", "large eps", [0.1, 0.9, 0.99, 0.1], ["wide", "sparse"]),
        case("adamax", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-8], ["wide", "unit"], HALF),
        case("adamax@optax", "defaults", [1e-3, 0.9, 0.999, 1e-8], ALL),
        case("adamax@optax", "short norm", [0.01, 0.5, 0.9, 1e-4], ["wide", "jump"]),
        case("adamax@keras", "defaults", [1e-3, 0.9, 0.999, 1e-7], ALL),
        case("adamax@keras", "short norm, large eps", [0.01, 0.5, 0.9, 0.1], ["wide", "jump"]),
        case("adamax@paper", "paper", [2e-3, 0.9, 0.999, 0], ALL),
        case("adamax@paper", "short norm", [0.01, 0.5, 0.9, 0], ["wide", "sparse"]),
        # Signs move parameters on a lattice, which comes back to where it began: rates are such that none comes near zero.
        case("lion", "official defaults, decay 0.1", [1e-4, 0.9, 0.99, 0.1], ["jump", "steady"]),
        case("lion", "tiny rate", [1e-8, 0.9, 0.99, 0.1], ["wide"]),
        case("lion", "large rate", [0.01, 0.95, 0.98, 0.3], ["jump", "sparse"]),
        case("lion", "rate drops at step 31", [0.01, 0.9, 0.99, 0.3], ["jump", "unit"], HALF),
        case("lion@optax", "decay 1e-3", [1e-4, 0.9, 0.99, 1e-3], ["jump", "steady"]),
        case("lion@optax", "tiny rate", [1e-8, 0.9, 0.99, 0.1], ["wide"]),
        case("lion@optax", "large rate", [0.01, 0.5, 0.9, 0.1], ["jump", "sparse"]),
        case("lion@keras", "defaults", [1e-3, 0.9, 0.99, 0], ["jump", "steady"]),
        case("lion@keras", "strong decay", [0.01, 0.5, 0.9, 0.3], ["wide", "jump"]),
        case("signum", "paper", [1e-4, 0.9], ["jump", "steady"]),
        case("signum", "tiny rate", [1e-8, 0.9], ["wide"]),
        case("signum", "rate drops at step 31", [0.01, 0.5], ["jump", "unit"], HALF),
        case("signum@pytorch_optimizer", "defaults", [1e-3, 0.9, 0], ["jump", "steady"]),
        case("signum@pytorch_optimizer", "strong decay", [0.01, 0.7, 0.3], ["wide", "unit"], HALF),
        case("sign_sgd", "paper", [1e-4], ["jump", "steady"]),
        case("sign_sgd", "tiny rate", [1e-8], ["wide"]),
        case("sign_sgd", "rate drops at step 31", [0.01], ["jump", "unit"], HALF),
        case("adan", "official defaults, decay 0.02", [1e-3, 0.98, 0.92, 0.99, 1e-8, 0.02], ALL),
        case("adan", "short memory, strong decay", [0.01, 0.8, 0.5, 0.9, 1e-8, 0.5], ["wide", "jump"]),
        case("adan", "large eps", [0.1, 0.9, 0.8, 0.95, 0.1, 0], ["wide", "sparse"]),
        case("adan", "rate drops at step 31", [0.01, 0.98, 0.92, 0.99, 1e-8, 0.1], ["wide", "unit"], HALF),
        case("adan@optax", "defaults", [1e-3, 0.98, 0.92, 0.99, 1e-8, 1e-8, 0], ALL),
        case("adan@optax", "short memory, strong decay", [0.01, 0.8, 0.5, 0.9, 1e-8, 0, 0.3], ["wide", "jump"]),
        case("adopt", "defaults", [1e-3, 0.9, 0.9999, 1e-6, 0.25], ALL),
        case("adopt", "short memory, no limit at first", [0.01, 0.5, 0.9, 1e-3, 0.5], ["wide", "jump"]),
        case("adopt", "rate drops at step 31", [0.01, 0.9, 0.99, 1e-6, 0.25], ["wide", "unit"], HALF),
        case("adopt@pytorch_optimizer", "defaults", [1e-3, 0.9, 0.9999, 1e-6, 0.25], ALL),
        case("adopt@pytorch_optimizer", "short memory", [0.01, 0.5, 0.9, 1e-3, 0.25], ["wide", "jump"]),
        case("ademamix", "defaults", [1e-3, 0.9, 0.999, 0.9999, 5, 1e-8, 0], ALL),
        case("ademamix", "shorter memory, decay", [0.01, 0.8, 0.95, 0.99, 8, 1e-8, 0.1], ["wide", "jump"]),
        case("ademamix", "rate drops at step 31", [0.01, 0.9, 0.999, 0.999, 5, 1e-8, 0], ["wide", "unit"], HALF),
        case("ademamix@optax", "defaults", [1e-3, 0.9, 0.999, 0.9999, 5, 1e-8, 0, 0], ALL),
        case("ademamix@optax", "eps_root, decay", [0.01, 0.8, 0.95, 0.99, 6, 1e-8, 1e-6, 0.1], ["wide", "sparse"]),
        case("ademamix_scheduled", "over 40 steps", [1e-3, 0.9, 0.999, 0.9999, 5, 1e-8, 40, 0], ALL, **NEAR_ONE),
        case("ademamix_scheduled", "short memory over 40 steps", [1e-3, 0.5, 0.9, 0.95, 5, 1e-8, 40, 0], ALL),
        case("ademamix_scheduled", "over 1,000 steps", [0.01, 0.8, 0.95, 0.999, 8, 1e-8, 1000, 0.1], ["wide", "unit"]),
        case("mars", "official defaults", [3e-3, 0.025, 0.95, 0.99, 1, 1e-8, 0], ALL),
        case("mars", "loose limit, strong correction", [0.01, 0.5, 0.8, 0.9, 1e3, 1e-6, 0.1], ["unit", "jump"]),
        case("mars@pytorch_optimizer", "defaults", [3e-3, 0.025, 0.95, 0.99, 1, 1e-8, 1e-15, 0], ALL),
        case("mars@pytorch_optimizer", "strong", [0.01, 0.5, 0.7, 0.9, 1, 1e-4, 1e-15, 0.1], ["unit", "steady"]),
        case("mars@pytorch_optimizer", "rate drops", [0.01, 0.1, 0.9, 0.99, 1, 1e-8, 1e-15, 0], ["unit"], HALF),
        case("mars_lion", "defaults", [3e-3, 0.025, 0.95, 1, 0], ["wide", "unit", "jump"]),
        case("mars_lion", "strong", [0.01, 0.5, 0.7, 1, 0.3], ["unit", "steady"]),
        case("laprop", "paper", [4e-4, 0.9, 0.999, 1e-15, 0], ALL),
        case("laprop", "short second memory, large eps", [0.01, 0.8, 0.5, 1e-3, 0.1], ["wide", "jump"]),
        case("laprop", "rate drops at step 31", [0.01, 0.9, 0.99, 1e-15, 0], ["wide", "unit"], HALF),
        # The library multiplies each gradient by its own rate, so no case changes the rate; and decays after the step.
        case("laprop@pytorch_optimizer", "defaults", [4e-4, 0.9, 0.999, 1e-15, 1e-15, 0], ALL),
        case("laprop@pytorch_optimizer", "short memory", [0.01, 0.9, 0.5, 1e-3, 1e-15, 0], ["wide", "jump"]),
        case("yogi", "paper", [0.01, 0.9, 0.999, 1e-3, 1e-6], ALL),
        case("yogi", "short memory, small eps", [0.1, 0.5, 0.9, 1e-8, 1], ["unit", "jump"]),
        case("yogi", "rate drops at step 31", [0.01, 0.9, 0.99, 1e-3, 1e-6], ["wide", "unit"], HALF),
        case("yogi@optax", "defaults", [1e-3, 0.9, 0.999, 1e-3, 0, 1e-6, 1e-6], ALL),
        case("yogi@optax", "short memory", [0.01, 0.5, 0.9, 1e-8, 1e-6, 1e-3, 1e-3], ["unit", "jump"]),
        case("rprop", "torch defaults", [0.01, 0.5, 1.2, 1e-6, 50], ALL),
        case("rprop", "narrow limits", [0.1, 0.3, 1.5, 0.02, 0.3], ["wide", "unit"]),
        case("rprop@optax", "defaults", [0.01, 0.5, 1.2, 1e-6, 50], ALL),
        case("rprop@optax", "narrow limits", [0.1, 0.3, 1.5, 0.02, 0.3], ["wide", "unit"]),
        case("asgd", "torch defaults", [0.01, 1e-4, 0.75, 1e6], ["unit", "sparse", "jump"]),
        case("asgd", "averaging from step 12", [0.3, 0.1, 0.5, 10], ["unit", "jump"]),
        case("asgd", "averaging from the start", [0.1, 0, 0.75, 0], ["wide", "sparse"]),
    ],
    [],
)
