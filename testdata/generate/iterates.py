"""Methods that are evaluated elsewhere than where they train: averages, lookahead, schedule-free."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import optax
import pytorch_optimizer
import schedulefree
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from first_order import ADAM, HALF, adam, adam_eps_hat, momentum
from harness import ALL, OPTIMIZERS, VERSIONS, Path, case, keras, keras_label, optax_label, torch_label

# ------------------------------------------------------------------------------------------------------------------ formulas
# A formula that is evaluated elsewhere leaves the place in s._view.


def lookahead(h, t, g, x, s):
    slow = x if t == 1 else s.slow
    fast = adam(h, t, g, x, s)
    if t % int(h.k) == 0:
        slow = fast = (1 - h.alpha) * slow + h.alpha * fast
    s.slow = s._view = slow
    return fast


def averaged(step):
    """The average starts at the first iterate."""

    def rule(h, t, g, x, s):
        x = step(h, t, g, x, s)
        s.average = s._view = x if t == 1 else h.average_decay * s.average + (1 - h.average_decay) * x
        return x

    return rule


def averaged_from_zero(h, t, g, x, s):
    x = adam(h, t, g, x, s)
    s.average = h.average_decay * s.average + (1 - h.average_decay) * x
    s._view = s.average / (1 - h.average_decay**t)
    return x


def swa(h, t, g, x, s):
    x = momentum(h, t, g, x, s)
    since = t - int(h.average_start)
    if since <= 0:
        s.average, s._sum, s._n = x, x, 1
    elif since % int(h.average_every) == 0:
        s._sum, s._n = s._sum + x, s._n + 1
        s.average = s._sum / s._n
    s._view = s.average
    return x


def schedule_free(direction, factor=lambda h, t: 1):
    """The paper's three sequences, the average stored and not recovered from the other two."""

    def rule(h, t, g, y, s):
        if t == 1:
            s.z = s._average = y
            s.weight_sum = s.lr_max = 0 * h.lr
        lr = h.lr * factor(h, t)
        d = direction(h, t, g, s) + h.decay * y
        s.lr_max = max(s.lr_max, lr)
        weight = t**h.weight_step_power * s.lr_max**h.weight_lr_power
        s.weight_sum = s.weight_sum + weight
        c = weight / s.weight_sum if s.weight_sum > 0 else 0 * weight
        s.z = s.z - lr * d
        s._average = (1 - c) * s._average + c * s.z
        s._view = s._average
        return (1 - h.beta1) * s.z + h.beta1 * s._average

    return rule


def plain(h, t, g, s):
    return g


def corrected_rms(h, t, g, s):
    s.v = h.beta2 * s.v + (1 - h.beta2) * g * g
    return g / (np.sqrt(s.v / (1 - h.beta2**t)) + h.eps)


def rectified(h, t):
    most = 2 / (1 - h.beta2) - 1
    n = most - 2 * t * h.beta2**t / (1 - h.beta2**t)
    if n <= 4:
        return 0 * most
    return np.sqrt((n - 4) * (n - 2) * most / ((most - 4) * (most - 2) * n))


# ----------------------------------------------------------------------------------------------------------------- libraries


def torch_loop(make, label):
    """make(p, h) -> (optimizer, after(t), view(), slots()): `after` runs after each step."""

    def source(h, stream, schedule):
        p = torch.nn.Parameter(torch.tensor(stream["x0"], dtype=torch.float64))
        optimizer, after, view, slots = make(p, SimpleNamespace(**h))
        path = Path()
        for t, row in enumerate(stream["g"], 1):
            for start, lr in schedule:
                if t == start:
                    optimizer.param_groups[0]["lr"] = lr
            p.grad = torch.tensor(row, dtype=torch.float64)
            optimizer.step()
            after(t)
            path.append(p.detach().numpy().copy())
            path.view.append(view().copy())
        return path, slots()

    source.label = label
    return source


def array(tensor):
    return tensor.detach().numpy().copy()


def torch_adam(p, h):
    return torch.optim.Adam([p], lr=h.lr, betas=(h.beta1, h.beta2), eps=h.eps, foreach=False, fused=False)


def moments(optimizer, p):
    return {"m": array(optimizer.state[p]["exp_avg"]), "v": array(optimizer.state[p]["exp_avg_sq"])}


def torch_lookahead():
    def make(p, h):
        inner = torch_adam(p, h)
        optimizer = pytorch_optimizer.Lookahead(inner, k=int(h.k), alpha=h.alpha)

        def view():
            optimizer.backup_and_load_cache()
            seen = array(p)
            optimizer.clear_and_load_backup()
            return seen

        def slots():
            return moments(inner, p) | {"slow": array(optimizer.state[p]["slow_params"])}

        return optimizer, lambda t: None, view, slots

    return torch_loop(make, f"pytorch_optimizer.Lookahead {VERSIONS['pytorch_optimizer']} around torch.optim.Adam")


class Holder(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p


def torch_average():
    def make(p, h):
        optimizer = torch_adam(p, h)
        average = AveragedModel(Holder(p), multi_avg_fn=get_ema_multi_avg_fn(h.average_decay))

        def after(t):
            average.update_parameters(Holder(p))

        def view():
            return array(average.module.p)

        return optimizer, after, view, lambda: moments(optimizer, p) | {"average": view()}

    return torch_loop(make, torch_label("swa_utils.get_ema_multi_avg_fn"))


def torch_swa():
    def make(p, h):
        optimizer = torch.optim.SGD(
            [p], lr=h.lr, momentum=h.momentum, dampening=h.dampening, foreach=False, fused=False
        )
        average = AveragedModel(Holder(p))
        counted = []

        def after(t):
            since = t - int(h.average_start)
            if since >= 0 and since % int(h.average_every) == 0:
                average.update_parameters(Holder(p))
                counted.append(t)

        def view():
            return array(average.module.p if counted else p)

        def slots():
            return {"buf": array(optimizer.state[p]["momentum_buffer"]), "average": view()}

        return optimizer, after, view, slots

    return torch_loop(make, torch_label("swa_utils.AveragedModel"))


def official(cls, adaptive):
    def make(p, h, **options):
        if adaptive:
            first = {"betas": (h.beta1, h.beta2), "eps": h.eps}
        else:
            first = {"momentum": h.beta1}
        optimizer = getattr(schedulefree, cls)(
            [p],
            lr=h.lr,
            weight_decay=h.decay,
            r=h.weight_step_power,
            weight_lr_power=h.weight_lr_power,
            foreach=False,
            **first,
            **options,
        )
        optimizer.train()
        group = optimizer.param_groups[0]

        def view():
            # The way to the average and back rounds: the parameter is put back as it was.
            trained = p.detach().clone()
            optimizer.eval()
            seen = array(p)
            with torch.no_grad():
                p.copy_(trained)
            group["train_mode"] = True
            return seen

        def slots():
            found = {"z": array(optimizer.state[p]["z"])}
            found |= {name: np.array(group[name]) for name in ["weight_sum", "lr_max"]}
            return found | ({"v": array(optimizer.state[p]["exp_avg_sq"])} if adaptive else {})

        return optimizer, lambda t: None, view, slots

    label = f"schedulefree.{cls} {VERSIONS['schedulefree']}"
    usual = torch_loop(make, label)

    def source(h, stream, schedule):
        if schedule == WARM_UP:
            # The library's own warm-up; the schedule here is what it must come to.
            peak = h | {"lr": WARM_UP[-1][1]}
            steps = WARM_UP[-1][0]
            return torch_loop(lambda p, h: make(p, h, warmup_steps=steps), label)(peak, stream, ())
        return usual(h, stream, schedule)

    source.label = label
    return source


def optax_average():
    def source(h, stream, schedule):
        h = SimpleNamespace(**h)
        assert not schedule
        inner, average = optax.adam(h.lr, h.beta1, h.beta2, h.eps), optax.ema(h.average_decay)
        x = jnp.array(stream["x0"], dtype=jnp.float64)
        state, kept = inner.init(x), average.init(x)
        path = Path()
        for row in stream["g"]:
            updates, state = inner.update(jnp.array(row, dtype=jnp.float64), state, x)
            x = optax.apply_updates(x, updates)
            view, kept = average.update(x, kept)
            path.append(np.array(x))
            path.view.append(np.array(view))
        assert x.dtype == jnp.float64
        return path, {"m": np.array(state[0].mu), "v": np.array(state[0].nu), "average": np.array(kept.ema)}

    source.label = optax_label("ema of optax.adam's parameters,")
    return source


def keras_average():
    def source(h, stream, schedule):
        h = SimpleNamespace(**h)
        assert not schedule
        optimizer = keras.optimizers.Adam(
            learning_rate=h.lr,
            beta_1=h.beta1,
            beta_2=h.beta2,
            epsilon=h.eps,
            use_ema=True,
            ema_momentum=h.average_decay,
        )
        variable = keras.Variable(np.array(stream["x0"]), dtype="float64")
        path = Path()
        for row in stream["g"]:
            optimizer.apply([jnp.array(row, dtype=jnp.float64)], [variable])
            path.append(np.array(variable.value))
            path.view.append(np.array(optimizer._model_variables_moving_average[0].value))
        slots = {"m": optimizer._momentums[0].value, "v": optimizer._velocities[0].value, "average": path.view[-1]}
        return path, {name: np.array(value) for name, value in slots.items()}

    source.label = keras_label("Adam(use_ema=True)")
    return source


# --------------------------------------------------------------------------------------------------------------------- cases

WARM_UP = [(2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)]
AVERAGE = ADAM + ["average_decay"]
FREE = ["lr", "beta1", "weight_step_power", "weight_lr_power", "decay"]
FREE_ADAM = FREE + ["beta2", "eps"]

OPTIMIZERS.update(
    {
        "lookahead": (ADAM + ["k", "alpha"], lookahead, torch_lookahead()),
        "weight_average": (AVERAGE, averaged(adam), torch_average()),
        "weight_average@optax": (AVERAGE, averaged_from_zero, optax_average()),
        "weight_average@keras": (AVERAGE, averaged(adam_eps_hat), keras_average()),
        "swa": (["lr", "momentum", "dampening", "average_start", "average_every"], swa, torch_swa()),
        "schedule_free_sgd": (FREE, schedule_free(plain), official("SGDScheduleFree", False)),
        "schedule_free_adamw": (FREE_ADAM, schedule_free(corrected_rms), official("AdamWScheduleFree", True)),
        "schedule_free_radam": (
            FREE_ADAM,
            schedule_free(corrected_rms, rectified),
            official("RAdamScheduleFree", True),
        ),
    }
)

RECTIFIED = {
    "tolerance": 2e-11,
    "reason": "N is a difference of two numbers near 1999 that begins at 4: in float64 its first values, and the rate with them, "
    "have lost four digits",
}
USUAL = [1e-3, 0.9, 0.999, 1e-8]

CASES = sum(
    [
        case("lookahead", "paper", USUAL + [5, 0.5], ALL),
        case("lookahead", "far and seldom", [0.03, 0.5, 0.9, 1e-8, 7, 0.8], ["wide", "unit"]),
        case("lookahead", "every step", [0.01, 0.9, 0.99, 1e-8, 1, 0.3], ["unit"]),
        case("lookahead", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-8, 6, 0.5], ["wide", "unit"], HALF),
        case("weight_average", "usual", USUAL + [0.999], ALL),
        case("weight_average", "short", [0.05, 0.5, 0.9, 1e-8, 0.7], ["wide", "jump"]),
        case("weight_average", "rate drops at step 31", [0.01, 0.9, 0.999, 1e-8, 0.9], ["wide", "unit"], HALF),
        case("weight_average@optax", "usual", USUAL + [0.999], ALL),
        case("weight_average@optax", "short", [0.05, 0.5, 0.9, 1e-8, 0.7], ["wide", "jump"]),
        case("weight_average@keras", "defaults", [1e-3, 0.9, 0.999, 1e-7, 0.99], ALL),
        case("weight_average@keras", "short", [0.05, 0.5, 0.9, 1e-7, 0.7], ["wide", "jump"]),
        case("swa", "all steps", [1e-3, 0.9, 0, 1, 1], ALL),
        case("swa", "every seventh from step 3", [0.01, 0.95, 0.3, 3, 7], ["wide", "unit"]),
        case("swa", "the last ten", [0.01, 0.9, 0, 51, 1], ["wide", "sparse"]),
        case("swa", "rate drops at step 31", [0.01, 0.9, 0, 10, 5], ["wide", "unit"], HALF),
        case("schedule_free_sgd", "defaults", [1.0, 0.9, 0, 2, 0], ALL),
        case("schedule_free_sgd", "decay and powers", [0.3, 0.8, 1.5, 1, 0.02], ["wide", "unit"]),
        case("schedule_free_sgd", "warm-up", [0.1, 0.9, 0, 2, 0], ["wide", "unit"], WARM_UP),
        case("schedule_free_sgd", "rate drops at step 31", [0.01, 0.9, 0, 2, 0], ["wide", "unit"], HALF),
        case("schedule_free_adamw", "defaults", [2.5e-3, 0.9, 0, 2, 0, 0.999, 1e-8], ALL),
        case("schedule_free_adamw", "decay and powers", [0.05, 0.95, 2, 1, 0.1, 0.9, 1e-4], ["wide", "unit", "jump"]),
        case("schedule_free_adamw", "warm-up", [0.1, 0.9, 0, 2, 0, 0.999, 1e-8], ["wide", "unit"], WARM_UP),
        case("schedule_free_adamw", "rate drops at step 31", [0.01, 0.9, 0, 2, 0, 0.99, 1e-8], ["unit"], HALF),
        case("schedule_free_radam", "defaults", [2.5e-3, 0.9, 0, 2, 0, 0.999, 1e-8], ALL, **RECTIFIED),
        case("schedule_free_radam", "decay and powers", [0.05, 0.95, 2, 1, 0.1, 0.95, 1e-4], ["wide", "unit", "jump"]),
        case("schedule_free_radam", "rate drops at step 31", [0.01, 0.9, 0, 2, 0, 0.99, 1e-8], ["unit"], HALF),
    ],
    [],
)
