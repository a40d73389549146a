"""What every golden trajectory is made with: gradient streams, libraries run step by step, the check against a formula.

A module of methods (`first_order.py` and its neighbours) adds rows to OPTIMIZERS, registry name -> (hyper-parameter names,
formula, source), and lists its CASES; `trajectories.py` computes and writes them.
"""

import contextlib
import io
import math
import os
from pathlib import Path
from types import SimpleNamespace

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import keras
import numpy as np
import optax
import torch

keras.config.set_floatx("float64")
torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parent.parent
STEPS = 60
AT = [1, 2, 3, 10, 30, 60]
TOLERANCE = 1e-12
VERSIONS = {
    "torch": "2.15.0",
    "optax": "0.2.8",
    "jax": "0.10.2",
    "keras": "3.15.1",
    "numpy": "2.4.6",
    "adabelief-pytorch": "0.2.1",
    "pytorch_optimizer": "4.1.0",
    "schedulefree": "1.4.1",
    "safetensors": "0.8.0",
    "dog-optimizer": "1.0.3",
    "prodigyopt": "1.1.2",
    "dadaptation": "3.2",
}

# Registry name -> (hyper-parameter names, formula, source). The modules of methods add to it.
OPTIMIZERS = {}

# ------------------------------------------------------------------------------------------------------------------- streams


class Random:
    """SplitMix64 with Box-Muller: a page of code, the same in any language."""

    def __init__(self, seed):
        self.state = seed

    def word(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    def uniform(self):
        return (self.word() >> 11) * 2.0**-53

    def normal(self):
        radius = math.sqrt(-2.0 * math.log(1.0 - self.uniform()))
        return radius * math.cos(2.0 * math.pi * self.uniform())


def six_digits(value):
    """Short numbers keep the file readable and hide the last bit of the platform's `cos`."""
    return float(f"{value:.6g}")


def streams():
    def rows(seed, coords, draw):
        random = Random(seed)
        return [[six_digits(draw(random, t, i)) for i in range(coords)] for t in range(1, STEPS + 1)]

    decades = [1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e6, 0.0]

    def wide(random, t, i):
        value = decades[i] * random.normal()
        return 0.0 if random.uniform() < 0.08 else value

    def unit(random, t, i):
        return random.normal()

    def sparse(random, t, i):
        value = random.normal()
        quiet = t <= 2 or random.uniform() < [0.95, 0.9, 0.8, 0.5, 0.85][i]
        return 0.0 if quiet else value

    def jump(random, t, i):
        return random.normal() * (1.0 if t <= 20 else 1e3 if t <= 40 else 1e-3)

    def steady(random, t, i):
        value = [0.5, -0.05, 1.0, 0.2][i] * (1.0 + 0.3 * random.normal())
        return value * (-1.0) ** t if i == 2 else value

    return {
        "wide": {"x0": [1.5e-9, -2e-6, 0.003, -0.8, 5.0, -70.0, 0.25], "g": rows(1, 7, wide)},
        "unit": {"x0": [0.5, -0.25, 0.0, -1.0, 3.0], "g": rows(2, 5, unit)},
        "sparse": {"x0": [1.0, -0.5, 0.02, 0.0, -2.0], "g": rows(3, 5, sparse)},
        "jump": {"x0": [0.3, -1.0, 2.0, 0.05], "g": rows(4, 4, jump)},
        "steady": {"x0": [1.0, -0.1, 0.4, 2.0], "g": rows(5, 4, steady)},
    }


STREAM_NOTES = {
    "wide": "one magnitude per coordinate, 1e-9 to 1e6; signs change, 8 % exact zeros, the last gradient is always zero",
    "unit": "standard normal",
    "sparse": "mostly exact zeros; the first two gradients are zero everywhere",
    "jump": "normal times 1, then 1e3 from step 21, then 1e-3 from step 41",
    "steady": "persistent signs with 30 % noise; the third coordinate alternates",
}

# ------------------------------------------------------------------------------------------------------------------ formulas
# rule(h, t, g, x, s) -> new x. `h` hyper-parameters, `t` step from 1, `s` state (a missing slot reads as zeros).
# All of them run unchanged in float64 and in extended precision.


def clamp(value, low, high):
    return np.minimum(np.maximum(value, low), high)


def ema(beta, old, new):
    return beta * old + (1 - beta) * new


class State(SimpleNamespace):
    def __getattr__(self, name):
        return 0 * self._like


class Path(list):
    """Positions after every step, and where the parameter is evaluated then, if elsewhere."""

    def __init__(self):
        super().__init__()
        self.view = []


def run_rule(rule, hypers, gradient, x0, steps, schedule=(), real=np.float64, watch=None):
    """Positions after every step, and the final slots. `gradient` is a list of rows or a function of x."""
    h = SimpleNamespace(**{name: real(value) for name, value in hypers.items()})
    x = np.array(x0, dtype=real)
    s = State(_like=x)
    path = Path()
    for t in range(1, steps + 1):
        for start, lr in schedule:
            if t == start:
                h.lr = real(lr)
        g = gradient(x) if callable(gradient) else np.array(gradient[t - 1], dtype=real)
        x = rule(h, t, g, x, s)
        if watch:
            watch(t, x, s)
        path.append(x)
        if "_view" in vars(s):
            path.view.append(s._view)
    slots = {name: value for name, value in vars(s).items() if not name.startswith("_")}
    return path, slots


# ------------------------------------------------------------------------------------------------------------------ libraries
# source(h, stream, schedule) -> (positions after every step, final slots by our names)


def from_torch(make, slots=(), label=None, view=None):
    """`view` names the state in which torch keeps where the parameter is to be evaluated."""

    def source(h, stream, schedule):
        p = torch.tensor(stream["x0"], dtype=torch.float64)
        p.requires_grad_(True)
        with contextlib.redirect_stdout(io.StringIO()):
            optimizer = make([p], SimpleNamespace(**h))
        path = Path()
        for t, row in enumerate(stream["g"], 1):
            for start, lr in schedule:
                if t == start:
                    optimizer.param_groups[0]["lr"] = lr
            p.grad = torch.tensor(row, dtype=torch.float64)
            optimizer.step()
            path.append(p.detach().numpy().copy())
            if view:
                path.view.append(optimizer.state[p][view].numpy().copy())
        state = optimizer.state[p]
        read = {
            ours: theirs(state, SimpleNamespace(**h)) if callable(theirs) else state[theirs]
            for ours, theirs in dict(slots).items()
        }
        final = {ours: value.numpy().copy() for ours, value in read.items()}
        return path, final

    source.label = label
    return source


def from_optax(make, slots=lambda state: {}, label=None):
    def source(h, stream, schedule):
        def rate(count):
            lr = h["lr"]
            for start, later in schedule:
                lr = jnp.where(count >= start - 1, later, lr)
            return lr

        optimizer = make(rate if schedule else h["lr"], SimpleNamespace(**h))
        x = jnp.array(stream["x0"], dtype=jnp.float64)
        state = optimizer.init(x)
        path = []
        for row in stream["g"]:
            updates, state = optimizer.update(jnp.array(row, dtype=jnp.float64), state, x)
            x = optax.apply_updates(x, updates)
            path.append(np.array(x))
        assert x.dtype == jnp.float64
        return path, {name: np.array(value) for name, value in slots(state).items()}

    source.label = label
    return source


def from_keras(make, slots=lambda optimizer: {}, label=None):
    def source(h, stream, schedule):
        optimizer = make(SimpleNamespace(**h))
        variable = keras.Variable(np.array(stream["x0"]), dtype="float64")
        path = []
        for t, row in enumerate(stream["g"], 1):
            for start, lr in schedule:
                if t == start:
                    optimizer.learning_rate = lr
            optimizer.apply([jnp.array(row, dtype=jnp.float64)], [variable])
            path.append(np.array(variable.value))
        assert path[-1].dtype == np.float64
        return path, {name: np.array(value) for name, value in slots(optimizer).items()}

    source.label = label
    return source


def from_formula(rule, section):
    def source(h, stream, schedule):
        return run_rule(rule, h, stream["g"], stream["x0"], STEPS, schedule)

    source.label = f"numpy {VERSIONS['numpy']}, {section}"
    return source


def torch_label(name):
    return f"torch.optim.{name} {VERSIONS['torch']}"


def optax_label(name):
    return f"optax.{name} {VERSIONS['optax']}"


def pytorch_optimizer_label(name):
    return f"pytorch_optimizer.{name} {VERSIONS['pytorch_optimizer']}"


def keras_label(name):
    return f"keras.optimizers.{name} {VERSIONS['keras']}, jax backend"


# ---------------------------------------------------------------------------------------------------------------------- cases
# Each line: registry name, label, values in the order of OPTIMIZERS, streams, then options
# (schedule, tolerance with its reason).

ALL = ["wide", "unit", "sparse", "jump"]


def case(optimizer, label, values, on, schedule=(), tolerance=TOLERANCE, reason=None):
    names = OPTIMIZERS[optimizer][0]
    assert len(names) == len(values), (optimizer, label)
    assert (reason is None) == (tolerance == TOLERANCE), (optimizer, label)
    hypers = {name: float(value) for name, value in zip(names, values)}
    return [
        SimpleNamespace(
            optimizer=optimizer,
            name=f"{optimizer}, {label}, {stream}",
            hypers=hypers,
            stream=stream,
            schedule=schedule,
            tolerance=tolerance,
            reason=reason,
        )
        for stream in on
    ]


def relative_error(value, exact):
    value, exact = np.asarray(value, np.longdouble), np.asarray(exact, np.longdouble)
    error = np.abs(value - exact)
    return float(np.max(np.where(error == 0, 0, error / np.where(exact == 0, np.finfo(float).tiny, np.abs(exact)))))


def compute(c, stream):
    """Record one case, after checking the library against the formula."""
    names, rule, source = OPTIMIZERS[c.optimizer]
    path, slots = source(c.hypers, stream, c.schedule)
    exact_path, exact_slots = run_rule(rule, c.hypers, stream["g"], stream["x0"], STEPS, c.schedule, real=np.longdouble)
    assert set(slots) == set(exact_slots), (c.name, sorted(slots), sorted(exact_slots))
    values = [path[t - 1] for t in AT] + list(slots.values())
    if not all(np.all(np.isfinite(v)) for v in values):
        raise SystemExit(f"{c.name}: the reference is not finite; choose other hyper-parameters and say why")
    if "rate" in slots and not slots["rate"] > 0:
        raise SystemExit(f"{c.name}: the learned rate became {slots['rate']}")
    errors = {f"x at {t}": relative_error(path[t - 1], exact_path[t - 1]) for t in AT}
    errors |= {name: relative_error(value, exact_slots[name]) for name, value in slots.items()}
    view = getattr(path, "view", [])
    assert len(view) == len(exact_path.view), (c.name, len(view))
    errors |= {f"view at {t}": relative_error(view[t - 1], exact_path.view[t - 1]) for t in AT if view}
    c.view = [view[t - 1] for t in AT if view]
    worst = max(errors, key=errors.get)
    c.error = errors[worst]
    c.complaint = None
    if errors[worst] > c.tolerance / 4:
        c.complaint = (
            f"{c.name}: library and formula differ by {errors[worst]:.2e} ({worst}), tolerance {c.tolerance:.0e}"
        )
    c.x = [path[t - 1] for t in AT]
    c.slots = slots
    c.source = source.label
    return c


def close(value, printed, digits):
    value, printed = np.atleast_1d(value), np.atleast_1d(printed)
    assert np.allclose(value, printed, rtol=10.0**-digits, atol=10.0**-12), (value, printed)


# --------------------------------------------------------------------------------------------------------------------- writing


def number(value):
    return repr(float(value) + 0.0)


def row(values):
    return "[" + ", ".join(number(v) for v in np.atleast_1d(values)) + "]"


def table(values):
    return "[\n" + "".join(f"  {row(v)},\n" for v in values) + "]"


def gradients_toml(data):
    text = [
        "# Gradient streams for the golden trajectories: x0 and one row of gradients per step.",
        "# The gradients do not depend on x. Written by testdata/generate/trajectories.py.",
    ]
    for name, stream in data.items():
        text += ["", f"# {STREAM_NOTES[name]}", f"[streams.{name}]", f"x0 = {row(stream['x0'])}"]
        text += [f"g = {table(stream['g'])}"]
    return "\n".join(text) + "\n"


def trajectory_toml(cases):
    libraries = sorted({c.source.split(" ")[0].split(".")[0].rstrip(",") for c in cases})
    versions = ", ".join(f"{name} {VERSIONS[name]}" for name in libraries)
    if all("our own writing" in c.source for c in cases):
        versions += "; no library computes these, the reference is our own, written from the papers apart from the Rust code"
    text = [f'provenance = "{versions}; generated by testdata/generate/trajectories.py"']
    for c in cases:
        hypers = ", ".join(f"{name} = {number(value)}" for name, value in c.hypers.items())
        text += [
            "",
            "[[case]]",
            f'name = "{c.name}"',
            f'optimizer = "{c.optimizer}"',
            f"hypers = {{ {hypers} }}",
            f'source = "{c.source}"',
            f'stream = "{c.stream}"',
        ]
        if c.schedule:
            text += ["lr_schedule = [" + ", ".join(f"[{t}, {number(lr)}]" for t, lr in c.schedule) + "]"]
        text += [f"tolerance = {number(c.tolerance)}"]
        if c.reason:
            text += [f'reason = "{c.reason}"']
        text += [f"at = {AT}", f"x = {table(c.x)}"]
        if c.view:
            text += [f"view = {table(c.view)}"]
        if c.slots:
            text += ["[case.slots]"] + [f"{name} = {row(value)}" for name, value in sorted(c.slots.items())]
    return "\n".join(text) + "\n"


def same_numbers(a, b, limit=TOLERANCE / 10):
    """Same structure, same words, and numbers equal but for the last digits (another CPU may round differently)."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same_numbers(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same_numbers, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= limit * max(abs(a), abs(b))
    return a == b


def check_versions():
    from importlib.metadata import version

    for name, wanted in VERSIONS.items():
        installed = version(name).split("+")[0]
        if installed != wanted:
            raise SystemExit(f"{name} {installed} is installed, {wanted} is needed (requirements.txt)")
