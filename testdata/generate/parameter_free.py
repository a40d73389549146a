"""Methods that find their own learning rate from the distance travelled."""

import numpy as np
import torch
from dog import DoG

from harness import OPTIMIZERS, STEPS, VERSIONS, case


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

OPTIMIZERS.update({"dog": (["lr", "reps_rel", "eps"], dog, official_dog)})

CASES = sum(
    [
        case("dog", "defaults", [1, 1e-6, 1e-8], ["wide", "jump"]),
        case("dog", "large first distance", [0.5, 1e-2, 1e-4], ["unit", "sparse", "jump"]),
        case("dog", "rate drops at step 31", [1, 1e-3, 1e-8], ["wide", "unit"], [(31, 0.25)]),
    ],
    [],
)
