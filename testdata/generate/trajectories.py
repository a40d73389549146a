"""Write the golden trajectories: what torch, optax, keras and the official codes compute, in float64.

    python trajectories.py            rewrite ../gradients.toml and ../trajectories/*.toml
    python trajectories.py --check    regenerate in memory and compare with the committed files

Every case is computed twice. The recorded numbers come from the library named in `source`. The formulas beside this file, written from
the papers and from the documented conventions, run in extended precision on the same gradients; a case is written only if
both agree to a quarter of its tolerance. So a recorded number is right, its convention is understood, and the tolerance is
one that an honest float64 implementation can meet.
"""

import argparse
import tomllib

import elementwise
import first_order
import folds
import iterates
import learned
import parameter_free
from harness import ROOT, check_versions, compute, gradients_toml, same_numbers, streams, trajectory_toml

METHODS = [first_order, elementwise, iterates, folds, parameter_free, learned]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument("--verbose", action="store_true", help="print the worst error of every case")
    arguments = parser.parse_args()

    check_versions()
    first_order.self_check()
    data = streams()
    cases = [compute(c, data[c.stream]) for module in METHODS for c in module.CASES]
    if arguments.verbose:
        for c in sorted(cases, key=lambda c: -c.error):
            print(f"{c.error:.1e}  {c.name}")
    complaints = [c.complaint for c in cases if c.complaint]
    if complaints:
        raise SystemExit("\n".join(complaints))
    names = [c.name for c in cases]
    assert len(names) == len(set(names)), "case names repeat"

    files = {ROOT / "gradients.toml": gradients_toml(data)}
    for name in dict.fromkeys(c.optimizer.split("@")[0] for c in cases):
        mine = [c for c in cases if c.optimizer.split("@")[0] == name]
        files[ROOT / "trajectories" / f"{name}.toml"] = trajectory_toml(mine)

    different = []
    for path, text in files.items():
        if arguments.check:
            if not path.exists() or not same_numbers(tomllib.loads(path.read_text()), tomllib.loads(text)):
                different.append(str(path.relative_to(ROOT)))
        else:
            tomllib.loads(text)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    extra = set((ROOT / "trajectories").glob("*.toml")) - set(files)
    if arguments.check:
        different += [f"{p.relative_to(ROOT)} is not generated" for p in sorted(extra)]
    if different:
        raise SystemExit("differs: " + ", ".join(different))
    print(f"{len(files)} files, {len(cases)} cases, worst error {max(c.error for c in cases):.1e}")


if __name__ == "__main__":
    main()
