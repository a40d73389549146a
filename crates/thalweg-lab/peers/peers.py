"""Times a step of torch.optim (and DeepSpeed's CPUAdam) on the workloads of `thalweg bench`.

    python peers.py [--threads 2] [--rounds 9] [--workloads w1,w2,w3,w4] [--deepspeed]

Needs torch 2.15.0; with --deepspeed also deepspeed 0.19.8 and ninja, which compile a kernel on
first use. One JSON object per line, in the units of `thalweg bench --json`.
"""

import argparse
import json
import statistics
import time

import torch


def shapes(name):
    if name == "w1":
        return [[64 << 20]]
    if name == "w2":
        d = 768
        block = [[d], [d], [d, 3 * d], [3 * d], [d, d], [d], [d], [d], [d, 4 * d], [4 * d], [4 * d, d], [d]]
        return [[50257, d], [1024, d]] + block * 12 + [[d], [d]]
    if name == "w3":
        return [[1024]] * 1000
    return [[256, 784], [256], [128, 256], [128], [10, 128], [10]]


def subjects(with_deepspeed):
    o = torch.optim
    yield "adamw", "torch fused", lambda p: o.AdamW(p, fused=True)
    yield "adamw", "torch foreach", lambda p: o.AdamW(p, foreach=True)
    yield "momentum", "torch fused", lambda p: o.SGD(p, lr=1e-3, momentum=0.9, fused=True)
    yield "gd", "torch fused", lambda p: o.SGD(p, lr=1e-3, fused=True)
    yield "adagrad", "torch fused", lambda p: o.Adagrad(p, fused=True)
    yield "rmsprop", "torch foreach", lambda p: o.RMSprop(p, foreach=True)
    yield "rmsprop_centered", "torch foreach", lambda p: o.RMSprop(p, centered=True, foreach=True)
    yield "adadelta", "torch foreach", lambda p: o.Adadelta(p, foreach=True)
    yield "amsgrad", "torch fused", lambda p: o.Adam(p, amsgrad=True, fused=True)
    if with_deepspeed:
        from deepspeed.ops.adagrad import DeepSpeedCPUAdagrad
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        yield "adamw", "DeepSpeed CPUAdam", lambda p: DeepSpeedCPUAdam(p, adamw_mode=True)
        yield "adagrad", "DeepSpeed CPUAdagrad", lambda p: DeepSpeedCPUAdagrad(p)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workloads", default="w1,w2,w3,w4")
    parser.add_argument("--deepspeed", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for workload in args.workloads.split(","):
        for optimizer, peer, make in subjects(args.deepspeed):
            params = [torch.nn.Parameter(torch.full(s, 0.5)) for s in shapes(workload)]
            for p in params:
                p.grad = torch.full_like(p, 1e-3)
            opt = make(params)
            for _ in range(2):
                opt.step()
            start = time.perf_counter()
            opt.step()
            repeats = max(1, min(1000, round(0.02 / (time.perf_counter() - start))))
            times = []
            for _ in range(args.rounds):
                start = time.perf_counter()
                for _ in range(repeats):
                    opt.step()
                times.append((time.perf_counter() - start) / repeats * 1e3)
            row = {
                "optimizer": optimizer,
                "peer": peer,
                "workload": workload.upper(),
                "threads": args.threads,
                "ms": statistics.median(times),
                "ms_quartiles": statistics.quantiles(times, n=4)[::2],
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
