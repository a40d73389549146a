"""Known values for the statistics of the lab's protocol, computed with scipy and by enumeration: writes `testdata/statistics.json`.

Run as `python testdata/generate/lab_statistics.py`; needs numpy 2.4.6 and scipy 1.17.1.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import scipy
from scipy import integrate, special, stats

OUT = Path(__file__).resolve().parent.parent / "statistics.json"
rng = np.random.default_rng(2026)


def holm(p):
    """The definition: the smallest level at which the step-down procedure rejects, found by trying every level that matters."""
    order = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    for place, index in enumerate(order):
        out[index] = max(min(1.0, (len(p) - i) * p[order[i]]) for i in range(place + 1))
    return out.tolist()


def stretched_bootstrap(values):
    """All resamples of a few values; percentiles as far from the mean as Student's would be for normal values."""
    n = len(values)
    means = np.array([np.mean(s) for s in itertools.product(values, repeat=n)])
    stretch = stats.t.ppf(0.975, n - 1) / stats.norm.ppf(0.975) * np.sqrt(n / (n - 1))
    low, high = np.mean(values) + stretch * (np.quantile(means, [0.025, 0.975]) - np.mean(values))
    return {"values": list(values), "low": low, "high": high}


def best_of(values):
    """The mean lowest value of all subsets of each size."""
    return [np.mean([min(s) for s in itertools.combinations(values, k)]) for k in range(1, len(values) + 1)]


def score(costs):
    """The integral of each performance profile from 1 to 4, over 3, by quadrature between its corners."""
    costs = np.array(costs, dtype=float)
    best = costs.min(axis=0)
    out = []
    for row in costs:
        ratios = np.where(np.isfinite(row), row / best, np.inf)
        corners = sorted(r for r in ratios if 1 < r < 4)
        total = sum(
            integrate.quad(lambda tau: np.mean(ratios <= tau), a, b)[0] for a, b in itertools.pairwise([1, *corners, 4])
        )
        out.append(total / 3)
    return out


def above(n, minimum, shift, seed):
    """Losses over many decades above a minimum: geometric mean, the factor of its interval, and the paired t test of the logarithms."""
    own = np.random.default_rng(seed)
    # Rounded to what a loss near this minimum can be; the logarithms below are those of the rounded ones.
    a, b = (minimum + np.exp(own.normal(mean, 4, size=n)) for mean in (-10, -10 + shift))
    x, y = np.log(a - minimum), np.log(b - minimum)
    return {
        "a": a.tolist(),
        "b": b.tolist(),
        "minimum": minimum,
        "typical": minimum + stats.gmean(a - minimum),
        "factor": np.exp(stats.t.ppf(0.975, n - 1) * stats.sem(x)),
        "p": stats.ttest_rel(x, y).pvalue,
    }


def main():
    pairs = []
    for n, shift in [(2, 1.0), (3, 0.5), (5, 0.0), (5, 2.0), (9, 0.3), (20, 0.4)]:
        a, b = rng.normal(size=n), rng.normal(size=n) + shift
        pairs.append({"a": a.tolist(), "b": b.tolist(), "p": stats.ttest_rel(a, b).pvalue})
    p = [0.01, 0.04, 0.03, 0.005, 0.2, 0.04]
    costs = [[10, 20, 30, 1e9], [12, 15, 90, 50], [40, 100, 30, 51]]
    costs[0][3] = np.inf
    trials = [2.31, 0.12, 0.4, 0.13, 1.9, 0.09]
    known = {
        "made with": f"numpy {np.__version__}, scipy {scipy.__version__}",
        "student_two_sided": [[t, n, 2 * stats.t.sf(abs(t), n)] for t in [0.0, 0.5, -2.0, 4.3, 22.0] for n in [1, 4, 30]],
        "incomplete_beta": [[a, b, x, special.betainc(a, b, x)] for a, b, x in [(2, 0.5, 0.1), (0.5, 0.5, 0.7), (10, 3, 0.9)]],
        "sign_test": [[k, n - k, stats.binomtest(k, n).pvalue] for k, n in [(0, 5), (1, 5), (2, 7), (5, 10), (9, 10)]],
        "paired": pairs,
        "above": [above(5, 0.0, 1.0, 1), above(5, 0.0, 9.0, 2), above(9, 0.25, 3.0, 3), above(3, 101936.729903, 2.0, 4)],
        "holm": {"p": p, "adjusted": holm(p)},
        "bootstrap": [stretched_bootstrap(rng.normal(size=n).tolist()) for n in [2, 3, 5, 6]],
        "best_of": {"values": trials, "expected": best_of(trials)},
        "profile": {"costs": [[None if np.isinf(c) else c for c in row] for row in costs], "score": score(costs)},
    }
    OUT.write_text(json.dumps(known, indent=1) + "\n")


main()
