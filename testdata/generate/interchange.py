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
                tensors[f"{name}.{key}"] = torch.as_tensor(value).detach().cpu().numpy()
    save_file(tensors, path)


def load_torch(model, optimizer, path):
    """The way back, into an optimizer that was just made."""
    saved = load_file(path)
    for name, parameter in model.named_parameters():
        keys = [key for key in saved if key.rpartition(".")[0] == name]
        optimizer.state[parameter] = {key.rpartition(".")[2]: torch.tensor(saved[key]) for key in keys}


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
        named = zip(node._fields, node)
        return type(node)(
            *(fill(lambda k, _: jnp.array(saved[".".join([str(i.key) for i in k] + [f])]), v) for f, v in named)
        )

    return visit(state)


# ANCHOR_END: optax


class TorchRun:
    def __init__(self, make, h, x0):
        self.model = torch.nn.Module()
        self.model.layer = torch.nn.Module()
        for name, values in x0.items():
            leaf = torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))
            self.model.layer.register_parameter(name.partition(".")[2], leaf)
        self.optimizer = make(list(self.model.parameters()), h)

    def step(self, gradients):
        for name, parameter in self.model.named_parameters():
            parameter.grad = torch.tensor(gradients[name], dtype=torch.float64)
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


ADAM = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
ROOTED = ADAM | {"eps_root": 1e-10}
RMS = {"lr": 0.01, "rho": 0.9, "eps": 1e-8}
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
}


def data():
    random = Random(77)
    draw = lambda shape: np.array([six_digits(random.normal()) for _ in range(int(np.prod(shape)))]).reshape(shape)
    x0 = {name: draw(shape) for name, shape in SHAPES.items()}
    return x0, [{name: draw(shape) for name, shape in SHAPES.items()} for _ in range(STEPS)]


def fresh(name, x):
    library, make, hypers = CASES[name]
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
        if arguments.check:
            check(runs, paths)
        else:
            (FOLDER / "runs.toml").write_text(document(runs))


if __name__ == "__main__":
    main()
