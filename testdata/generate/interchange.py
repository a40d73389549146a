"""Write optimizer states of torch and optax as people save them, and where the run went on from there.

    python interchange.py            rewrite ../interchange/*
    python interchange.py --check    compare with the committed files, and go on from the states that thalweg exported

For each optimizer: five steps, the state saved, five more. The Rust suite (tests/interchange.rs) loads the state, makes the same
five steps, and exports its own state; `UPDATE_INTERCHANGE=1` writes that export beside the others as NAME.back.safetensors. The
check here loads it into the library, makes five more steps, and compares with the library's own uninterrupted run.
"""

import argparse
import tomllib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import safetensors.torch
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from harness import ROOT, VERSIONS, Random, check_versions, number, relative_error, same_numbers, six_digits

FOLDER = ROOT / "interchange"
SHAPES = {"layer.weight": (2, 3), "layer.bias": (3,)}
STEPS = 15


# ANCHOR: torch
def save_torch(model, optimizer, path):
    """`parameter.name` for everything torch remembers. Parameters that were never stepped have no state."""
    tensors = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                tensors[f"{name}.{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    safetensors.torch.save_file(tensors, path)


def load_torch(model, optimizer, path):
    """The way back, into an optimizer that was just made."""
    saved = safetensors.torch.load_file(path)
    for name, parameter in model.named_parameters():
        state = {key.rpartition(".")[2]: value for key, value in saved.items() if key.rpartition(".")[0] == name}
        # Numbers stay as they are; what is as large as the parameter takes its type.
        optimizer.state[parameter] = {k: v.to(parameter.dtype) if v.dim() else v for k, v in state.items()}


# ANCHOR_END: torch


# ANCHOR: optax
def save_optax(state, path):
    """`parameter.field` for every field of the state tuples, and `count` once. Parameters are a tree of dictionaries."""
    tensors = {}

    def visit(node):
        if not hasattr(node, "_fields"):
            [visit(child) for child in node]
            return
        for field, value in zip(node._fields, node):
            if isinstance(value, tuple):
                visit(value)
                continue
            for keys, leaf in jax.tree_util.tree_leaves_with_path(value):
                name = ".".join([str(k.key) for k in keys] + [field])
                tensors[name] = np.asarray(leaf)

    visit(state)
    save_file(tensors, path)


def load_optax(state, path):
    """The way back: the state of `init`, filled with the saved values."""
    saved = load_file(path)

    def visit(node):
        if not hasattr(node, "_fields"):
            return tuple(visit(child) for child in node)
        fill = jax.tree_util.tree_map_with_path
        read = lambda f, v: fill(lambda k, _: jnp.array(saved[".".join([str(i.key) for i in k] + [f])]), v)
        return type(node)(*(visit(v) if isinstance(v, tuple) else read(f, v) for f, v in zip(node._fields, node)))

    return visit(state)


# ANCHOR_END: optax


class TorchRun:
    def __init__(self, make, h, x0, dtype=torch.float64):
        self.model = torch.nn.Module()
        self.model.layer = torch.nn.Module()
        for name, values in x0.items():
            leaf = torch.nn.Parameter(torch.tensor(values, dtype=dtype))
            self.model.layer.register_parameter(name.partition(".")[2], leaf)
        self.optimizer = make(list(self.model.parameters()), h)

    def step(self, gradients):
        for name, parameter in self.model.named_parameters():
            parameter.grad = torch.tensor(gradients[name], dtype=parameter.dtype)
        self.optimizer.step()

    def x(self):
        return {name: p.detach().numpy().copy() for name, p in self.model.named_parameters()}

    def save(self, path):
        save_torch(self.model, self.optimizer, path)

    def load(self, path):
        load_torch(self.model, self.optimizer, path)


class OptaxRun:
    def __init__(self, make, h, x0):
        leaves = {name.partition(".")[2]: jnp.array(values, dtype=jnp.float64) for name, values in x0.items()}
        self.params = {"layer": leaves}
        self.optimizer = make(h)
        self.state = self.optimizer.init(self.params)

    def step(self, gradients):
        leaves = {name.partition(".")[2]: jnp.array(values, dtype=jnp.float64) for name, values in gradients.items()}
        updates, self.state = self.optimizer.update({"layer": leaves}, self.state, self.params)
        self.params = optax.apply_updates(self.params, updates)

    def x(self):
        return {name: np.array(self.params["layer"][name.partition(".")[2]]) for name in SHAPES}

    def save(self, path):
        save_optax(self.state, path)

    def load(self, path):
        self.state = load_optax(self.state, path)


def adam(cls, **flags):
    def make(p, h):
        decay = {"weight_decay": getattr(h, "decay", 0.0)}
        return getattr(torch.optim, cls)(p, lr=h.lr, betas=(h.beta1, h.beta2), eps=h.eps, **decay, **flags)

    return make


def sgd(**flags):
    return lambda p, h: torch.optim.SGD(
        p, lr=h.lr, momentum=h.momentum, dampening=getattr(h, "dampening", 0.0), **flags
    )


def rmsprop(centered):
    return lambda p, h: torch.optim.RMSprop(
        p, lr=h.lr, alpha=h.rho, eps=h.eps, momentum=getattr(h, "momentum", 0.0), centered=centered
    )


def optax_rmsprop(centered):
    return lambda h: optax.rmsprop(
        h.lr, decay=h.rho, eps=h.eps, centered=centered, momentum=getattr(h, "momentum", None)
    )


def nadam(decoupled):
    return lambda p, h: torch.optim.NAdam(
        p,
        lr=h.lr,
        betas=(h.beta1, h.beta2),
        eps=h.eps,
        momentum_decay=h.momentum_decay,
        weight_decay=getattr(h, "decay", 0.0),
        decoupled_weight_decay=decoupled,
    )


def optax_adam_like(cls):
    return lambda h: cls(h.lr, h.beta1, h.beta2, h.eps, h.eps_root)


ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
ROOTED = ADAM | {"eps_root": 1e-10}
RMS = {"lr": 0.01, "rho": 0.9, "eps": 1e-8}
RPROP = {"lr": 0.01, "eta_minus": 0.5, "eta_plus": 1.2, "step_min": 1e-6, "step_max": 50.0}
# Registry name -> (library, what makes it, hyper-parameters).
CASES = {
    "adam": ("torch", adam("Adam"), ADAM),
    "adamw": ("torch", adam("AdamW"), ADAM | {"decay": 0.1}),
    "adam_l2": ("torch", adam("Adam"), ADAM | {"decay": 0.1}),
    "amsgrad": ("torch", adam("Adam", amsgrad=True), ADAM),
    "momentum": ("torch", sgd(), {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    "nesterov": ("torch", sgd(nesterov=True), {"lr": 0.1, "momentum": 0.9}),
    "rmsprop": ("torch", rmsprop(False), RMS),
    "rmsprop_centered": ("torch", rmsprop(True), RMS),
    "rmsprop_momentum": ("torch", rmsprop(False), RMS | {"momentum": 0.9}),
    "rmsprop_centered_momentum": ("torch", rmsprop(True), RMS | {"momentum": 0.9}),
    "adagrad": (
        "torch",
        lambda p, h: torch.optim.Adagrad(
            p, lr=h.lr, eps=h.eps, initial_accumulator_value=h.initial, lr_decay=h.lr_decay
        ),
        {"lr": 0.1, "eps": 1e-10, "initial": 0.01, "lr_decay": 0.1},
    ),
    "adadelta": (
        "torch",
        lambda p, h: torch.optim.Adadelta(p, lr=h.lr, rho=h.rho, eps=h.eps),
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
    ),
    "nadam": ("torch", nadam(False), ADAM | {"momentum_decay": 0.05}),
    "nadamw": ("torch", nadam(True), ADAM | {"momentum_decay": 0.004, "decay": 0.1}),
    "radam": ("torch", adam("RAdam"), ADAM | {"threshold": 5.0}),
    "adamax": ("torch", adam("Adamax"), ADAM),
    "rprop": (
        "torch",
        lambda p, h: torch.optim.Rprop(
            p, lr=h.lr, etas=(h.eta_minus, h.eta_plus), step_sizes=(h.step_min, h.step_max)
        ),
        RPROP,
    ),
    "asgd": (
        "torch",
        lambda p, h: torch.optim.ASGD(p, lr=h.lr, lambd=h.decay, alpha=h.alpha, t0=h.t0),
        # The average begins within the first five steps.
        {"lr": 0.1, "decay": 0.1, "alpha": 0.75, "t0": 2.0},
    ),
    "adam@optax": ("optax", lambda h: optax.adam(h.lr, h.beta1, h.beta2, h.eps, h.eps_root), ROOTED),
    "adamw@optax": (
        "optax",
        lambda h: optax.adamw(h.lr, h.beta1, h.beta2, h.eps, h.eps_root, weight_decay=h.decay),
        ROOTED | {"decay": 0.1},
    ),
    "amsgrad@optax": ("optax", lambda h: optax.amsgrad(h.lr, h.beta1, h.beta2, h.eps, h.eps_root), ROOTED),
    "adabelief@optax": ("optax", lambda h: optax.adabelief(h.lr, h.beta1, h.beta2, h.eps, h.eps_root), ROOTED),
    "momentum@optax": ("optax", lambda h: optax.sgd(h.lr, h.momentum), {"lr": 0.1, "momentum": 0.9}),
    "nesterov@optax": ("optax", lambda h: optax.sgd(h.lr, h.momentum, True), {"lr": 0.1, "momentum": 0.9}),
    "rmsprop@optax": ("optax", optax_rmsprop(False), RMS),
    "rmsprop_centered@optax": ("optax", optax_rmsprop(True), RMS),
    "rmsprop_momentum@optax": ("optax", optax_rmsprop(False), RMS | {"momentum": 0.9}),
    "adagrad@optax": (
        "optax",
        lambda h: optax.adagrad(h.lr, initial_accumulator_value=h.initial, eps=h.eps),
        {"lr": 0.1, "eps": 1e-7, "initial": 0.1},
    ),
    "adadelta@optax": (
        "optax",
        lambda h: optax.adadelta(h.lr, rho=h.rho, eps=h.eps),
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
    ),
    "nadam@optax": ("optax", optax_adam_like(optax.nadam), ROOTED),
    "radam@optax": (
        "optax",
        lambda h: optax.radam(h.lr, h.beta1, h.beta2, h.eps, h.eps_root, h.threshold),
        ROOTED | {"threshold": 5.0},
    ),
    "adamax@optax": ("optax", lambda h: optax.adamax(h.lr, h.beta1, h.beta2, h.eps), ADAM),
    "lion@optax": (
        "optax",
        lambda h: optax.lion(h.lr, h.beta1, h.beta2, weight_decay=h.decay),
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "decay": 0.1},
    ),
    "signum": ("optax", lambda h: optax.signum(h.lr, h.beta1), {"lr": 0.01, "beta1": 0.9}),
    "yogi@optax": (
        "optax",
        lambda h: optax.yogi(h.lr, h.beta1, h.beta2, h.eps),
        ADAM | {"eps": 1e-3, "initial": 1e-6, "initial_m": 1e-6},
    ),
    "novograd": (
        "optax",
        lambda h: optax.novograd(h.lr, h.beta1, h.beta2, h.eps, weight_decay=h.decay),
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.25, "eps": 1e-6, "decay": 0.1},
    ),
    "lamb@optax": (
        "optax",
        lambda h: optax.lamb(h.lr, h.beta1, h.beta2, h.eps, h.eps_root, h.decay),
        ROOTED | {"decay": 0.1},
    ),
    "lars": (
        "optax",
        lambda h: optax.lars(h.lr, h.decay, trust_coefficient=h.trust, momentum=h.momentum),
        {"lr": 1.0, "decay": 0.1, "trust": 0.01, "momentum": 0.9},
    ),
    "adan@optax": (
        "optax",
        lambda h: optax.adan(h.lr, h.beta1, h.beta2, h.beta3, h.eps, h.eps_root, h.decay),
        {"lr": 0.01, "beta1": 0.98, "beta2": 0.92, "beta3": 0.99, "eps": 1e-8, "eps_root": 1e-8, "decay": 0.1},
    ),
    "adopt": (
        "optax",
        lambda h: optax.contrib.adopt(h.lr, h.beta1, h.beta2, h.eps, clip_value_fn=lambda t: t**h.clip_power),
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "clip_power": 0.25},
    ),
    "ademamix@optax": (
        "optax",
        lambda h: optax.contrib.ademamix(
            h.lr, h.beta1, h.beta2, h.beta3, h.alpha, h.eps, h.eps_root, weight_decay=h.decay
        ),
        ROOTED | {"beta3": 0.999, "alpha": 5.0, "decay": 0.1},
    ),
    "schedule_free_sgd": (
        "optax",
        lambda h: optax.contrib.schedule_free_sgd(h.lr, b1=h.beta1, weight_decay=h.decay),
        {"lr": 0.1, "beta1": 0.9, "decay": 0.1},
    ),
    "schedule_free_adamw": (
        "optax",
        lambda h: optax.contrib.schedule_free_adamw(
            h.lr, b1=h.beta1, b2=h.beta2, eps=h.eps, weight_decay=h.decay
        ),
        ADAM | {"decay": 0.1},
    ),
    "rprop@optax": (
        "optax",
        lambda h: optax.rprop(h.lr, h.eta_minus, h.eta_plus, h.step_min, h.step_max),
        RPROP,
    ),
}
# torch keeps numbers that are no counter in its default type; in float32 they would be all that is compared.
WIDE = ("nadam", "nadamw", "asgd")


def data():
    random = Random(77)
    draw = lambda shape: np.array([six_digits(random.normal()) for _ in range(int(np.prod(shape)))]).reshape(shape)
    x0 = {name: draw(shape) for name, shape in SHAPES.items()}
    return x0, [{name: draw(shape) for name, shape in SHAPES.items()} for _ in range(STEPS)]


def fresh(name, x):
    library, make, hypers = CASES[name]
    torch.set_default_dtype(torch.float64 if name in WIDE else torch.float32)
    return (TorchRun if library == "torch" else OptaxRun)(make, SimpleNamespace(**hypers), x)


def flat(x):
    return [float(v) for name in SHAPES for v in np.asarray(x[name]).ravel()]


def run(name, path):
    """Positions after 5, 10 and 15 steps; the state after 5 goes to `path`."""
    x0, gradients = data()
    go, at = fresh(name, x0), {}
    for t, row in enumerate(gradients, 1):
        go.step(row)
        if t == 5:
            go.save(path)
        if t % 5 == 0:
            at[t] = go.x()
    return at


def run_bf16(path):
    """torch's Adam on a model in bfloat16, whose moments are in it too: the state after five steps."""
    x0, gradients = data()
    _, make, hypers = CASES["adam"]
    go = TorchRun(make, SimpleNamespace(**hypers), x0, torch.bfloat16)
    for row in gradients[:5]:
        go.step(row)
    go.save(path)


def listing(values):
    return "[" + ", ".join(number(v) for v in values) + "]"


def document(runs):
    x0, gradients = data()
    versions = ", ".join(f"{name} {VERSIONS[name]}" for name in ("optax", "torch"))
    text = [
        f'provenance = "{versions}; generated by testdata/generate/interchange.py"',
        "# layer.weight (2 by 3), then layer.bias (3).",
        f"x0 = {listing(flat(x0))}",
        "g = [",
        *(f"  {listing(flat(row))}," for row in gradients),
        "]",
    ]
    for name, at in runs.items():
        library, _, hypers = CASES[name]
        values = ", ".join(f"{key} = {number(value)}" for key, value in hypers.items())
        text += ["", "[[case]]", f'optimizer = "{name}"', f'library = "{library}"', f"hypers = {{ {values} }}"]
        text += [f"x{t} = {listing(flat(x))}" for t, x in at.items()]
    return "\n".join(text) + "\n"


def same_file(a, b):
    """Same names and types, and numbers equal but for the last digits."""
    with safe_open(a, "numpy") as one, safe_open(b, "numpy") as two:
        assert sorted(one.keys()) == sorted(two.keys()), (a, sorted(one.keys()), sorted(two.keys()))
        for key in one.keys():
            x, y = one.get_tensor(key), two.get_tensor(key)
            assert x.dtype == y.dtype and x.shape == y.shape, (a, key)
            assert relative_error(x, y) < 1e-13, (a, key)


def same_bf16(a, b):
    one, two = safetensors.torch.load_file(a), safetensors.torch.load_file(b)
    assert one.keys() == two.keys() and all(v.dtype == two[k].dtype for k, v in one.items())
    assert all(torch.allclose(v.float(), two[k].float(), rtol=2**-7) for k, v in one.items()), "adam_bf16"


def check(runs, paths):
    committed = tomllib.loads((FOLDER / "runs.toml").read_text())
    assert same_numbers(tomllib.loads(document(runs)), committed), "runs.toml differs"
    _, gradients = data()
    for name, path in paths.items():
        same_file(path, FOLDER / f"{name}.safetensors")
        ten = runs[name][10]
        back = fresh(name, {key: value.tolist() for key, value in ten.items()})
        back.load(FOLDER / f"{name}.back.safetensors")
        for row in gradients[10:]:
            back.step(row)
        for key, value in back.x().items():
            error = relative_error(value, runs[name][15][key])
            assert error < 1e-12, f"{name}, {key}: went on from the exported state to something else ({error:.1e})"
    print(f"{len(paths)} states: as committed, and the libraries go on from what thalweg exported")


def main():
    import tempfile
    from pathlib import Path

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    arguments = parser.parse_args()
    check_versions()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if arguments.check else FOLDER
        paths = {name: folder / f"{name}.safetensors" for name in CASES}
        runs = {name: run(name, path) for name, path in paths.items()}
        run_bf16(folder / "adam_bf16.safetensors")
        if arguments.check:
            check(runs, paths)
            same_bf16(folder / "adam_bf16.safetensors", FOLDER / "adam_bf16.safetensors")
        else:
            (FOLDER / "runs.toml").write_text(document(runs))


if __name__ == "__main__":
    main()
