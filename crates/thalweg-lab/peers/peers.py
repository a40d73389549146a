"""Times a step of other libraries on the workloads of `thalweg bench`, and `thalweg` in turn with them.

    python peers.py --against target/release/thalweg [--threads 2] [--rounds 5]
                    [--workloads w1,w2,w3,w4,table] [--only adamw,tail] [--deepspeed]

Each round runs `thalweg bench` for one round and then the peer, so that a machine whose speed wanders
does not favour either. Needs torch 2.15.0; with --deepspeed also deepspeed 0.19.8 and ninja, which
compile a kernel on first use. One JSON object per line; `ratio` is the peer's time over thalweg's, the
median over the rounds, with quartiles.
"""

import argparse
import json
import statistics
import subprocess
import time

import torch

DENSE = ["w1", "w2", "w3", "w4"]


def shapes(name):
    if name == "w1":
        return [[64 << 20]]
    if name == "w2":
        d = 768
        block = [[d], [d], [d, 3 * d], [3 * d], [d, d], [d], [d], [d], [d, 4 * d], [4 * d], [4 * d, d], [d]]
        return [[50257, d], [1024, d]] + block * 12 + [[d], [d]]
    if name == "w3":
        return [[1024]] * 1000
    if name == "table":
        return [[1 << 20, 64]]
    return [[256, 784], [256], [128, 256], [128], [10, 128], [10]]


def tail(make):
    """Clip by the global norm, step, average of the weights, zero the gradients."""

    def step_of(params):
        opt = make(params)
        ema = [p.detach().clone() for p in params]

        def step():
            torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=True)
            opt.step()
            torch._foreach_lerp_(ema, [p.detach() for p in params], 0.001)
            for p in params:
                p.grad.zero_()

        return step

    return step_of


def subjects(with_deepspeed):
    """Name for thalweg, name of the peer, how it steps, on which workloads, in which format."""
    o = torch.optim

    def plain(make):
        return lambda params: make(params).step

    def row(name, peer, make, loads=DENSE, dtype=torch.float32, share=None):
        return name, peer, make, loads, dtype, share

    def adamw(p):
        return o.AdamW(p, fused=True)

    yield row("adamw", "torch fused", plain(adamw))
    yield row("adamw", "torch foreach", plain(lambda p: o.AdamW(p, foreach=True)))
    yield row("momentum", "torch fused", plain(lambda p: o.SGD(p, lr=1e-3, momentum=0.9, fused=True)))
    yield row("gd", "torch fused", plain(lambda p: o.SGD(p, lr=1e-3, fused=True)))
    yield row("adagrad", "torch fused", plain(lambda p: o.Adagrad(p, fused=True)))
    yield row("rmsprop", "torch foreach", plain(lambda p: o.RMSprop(p, foreach=True)))
    yield row("rmsprop_centered", "torch foreach", plain(lambda p: o.RMSprop(p, centered=True, foreach=True)))
    yield row("adadelta", "torch foreach", plain(lambda p: o.Adadelta(p, foreach=True)))
    yield row("amsgrad", "torch fused", plain(lambda p: o.Adam(p, amsgrad=True, fused=True)))
    yield row("adamw+bf16", "torch fused", plain(adamw), dtype=torch.bfloat16)
    yield row("tail", "torch fused", tail(adamw))
    for share in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        name = f"rows={share:g}"
        loads = ["table"]
        yield row(f"adam+{name}", "torch SparseAdam", plain(o.SparseAdam), loads, share=share)
        yield row(f"adagrad+{name}", "torch sparse", plain(lambda p: o.Adagrad(p)), loads, share=share)
    if with_deepspeed:
        from deepspeed.ops.adagrad import DeepSpeedCPUAdagrad
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        def deep(p):
            return DeepSpeedCPUAdam(p, adamw_mode=True)

        yield row("adamw", "DeepSpeed CPUAdam", plain(deep))
        yield row("tail", "DeepSpeed CPUAdam", tail(deep))
        yield row("adagrad", "DeepSpeed CPUAdagrad", plain(DeepSpeedCPUAdagrad))


def parameters(workload, dtype, share):
    params = [torch.nn.Parameter(torch.full(s, 0.5, dtype=dtype)) for s in shapes(workload)]
    for p in params:
        if share is None:
            p.grad = torch.full_like(p, 1e-3)
        else:
            rows = torch.randperm(p.shape[0])[: max(1, round(share * p.shape[0]))]
            values = torch.full([len(rows), p.shape[1]], 1e-3)
            p.grad = torch.sparse_coo_tensor(rows[None], values, p.shape)
    return params


def peer_round(step, repeats):
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats * 1e3


def our_round(args, workload, name):
    command = [args.against, "bench", "--json", "--rounds", "1", "--workloads", workload]
    command += ["--threads", str(args.threads), "--optimizers", name]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["ms"]


def compare(args, workload, subject):
    name, peer, make, _, dtype, share = subject
    step = make(parameters(workload, dtype, share))
    for _ in range(2):
        step()
    repeats = max(1, min(1000, round(20 / peer_round(step, 1))))
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append(our_round(args, workload, name))
        theirs.append(peer_round(step, repeats))
    ratios = [b / a for a, b in zip(ours, theirs)]
    return {
        "optimizer": name,
        "peer": peer,
        "workload": workload.upper(),
        "threads": args.threads,
        "ms": statistics.median(ours),
        "peer_ms": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": statistics.quantiles(ratios, n=4)[::2],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workloads", default="w1,w2,w3,w4,table")
    parser.add_argument("--only", default="")
    parser.add_argument("--deepspeed", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    only = [name for name in args.only.split(",") if name]
    for workload in args.workloads.split(","):
        for subject in subjects(args.deepspeed):
            if workload in subject[3] and (not only or subject[0] in only):
                print(json.dumps(compare(args, workload, subject)), flush=True)


if __name__ == "__main__":
    main()
