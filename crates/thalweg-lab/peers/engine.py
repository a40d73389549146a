"""The training engine against PyTorch: speed, and numbers for the tests.

    cargo build --release -p thalweg-lab --example engine
    python crates/thalweg-lab/peers/engine.py [--threads 1] [--rounds 5] [--workloads mlp,wide,cnn,colour,resnet,lm]
    python crates/thalweg-lab/peers/engine.py --numbers > crates/thalweg-lab/src/tasks/engine/torch.json

Needs torch 2.15.0. Speed is milliseconds of a forward and a backward pass in float32; engine and torch
take turns in every round, and each row gives the medians over the rounds and the median of the ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn import functional as F

ENGINE = "target/release/examples/engine"


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, groups):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(groups, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(groups, outputs)
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.GroupNorm(groups, outputs)
            )

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def resnet(width, classes=10, groups=8):
    blocks = [Block(width * a, width * b, s, groups) for a, b, s in [(1, 1, 1), (1, 2, 2), (2, 4, 2)]]
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.GroupNorm(groups, width), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes),
    )  # fmt: skip


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm, self.heads = nn.LayerNorm(width), heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.out(y.transpose(1, 2).reshape(n, t, d))


class Perceptron(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, vocabulary, context, width, blocks, heads):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        parts = [p for _ in range(blocks) for p in (Attention(width, heads), Perceptron(width))]
        self.body = nn.Sequential(*parts, nn.LayerNorm(width), nn.Linear(width, vocabulary))

    def forward(self, tokens):
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        return self.body(x).flatten(0, 1)


def cnn(image, channels, classes):
    inputs, height, width = image
    first, second = channels
    conv = lambda a, b: [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    flat = second * (height // 4) * (width // 4)
    return nn.Sequential(*conv(inputs, first), *conv(first, second), nn.Flatten(), nn.Linear(flat, classes))


def workload(name):
    """The model and its batch, as `examples/engine.rs` has them."""
    if name in ("mlp", "wide"):
        rows, inputs = (128, 784) if name == "mlp" else (64, 3072)
        widths = [inputs, 256, 128, 10]
        parts = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in zip(widths, widths[1:])]
        model, x = nn.Sequential(*parts[:-1], parts[-1][0]), torch.rand(rows, inputs)
    elif name in ("cnn", "colour"):
        image = [1, 28, 28] if name == "cnn" else [3, 32, 32]
        model, x, rows = cnn(image, [32, 64], 10), torch.rand(64, *image), 64
    elif name == "resnet":
        model, x, rows = resnet(16), torch.rand(64, 3, 32, 32), 64
    else:
        model, x, rows = Gpt(96, 64, 128, 2, 4), torch.randint(0, 96, (16, 64)), 16 * 64
    return model, x, torch.randint(0, 10, (rows,))


def step(model, x, y):
    for p in model.parameters():
        p.grad = None
    F.cross_entropy(model(x), y).backward()


def torch_ms(name, threads):
    torch.set_num_threads(threads)
    model, x, y = workload(name)
    times = []
    end = time.perf_counter() + 1.5
    while time.perf_counter() < end or len(times) < 10:
        start = time.perf_counter()
        step(model, x, y)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[3:])


def engine_ms(name, threads):
    out = subprocess.run([ENGINE, name, str(threads)], check=True, capture_output=True, text=True)
    return float(out.stdout)


def speed(args):
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs, torch {torch.__version__}")
    for threads in args.threads:
        for name in args.workloads.split(","):
            pairs = [(engine_ms(name, threads), torch_ms(name, threads)) for _ in range(args.rounds)]
            ours, theirs = (statistics.median(p) for p in zip(*pairs))
            ratio = statistics.median(a / b for a, b in pairs)
            print(f"{name:7} {threads} threads  engine {ours:8.2f}  torch {theirs:8.2f}  ratio {ratio:.2f}", flush=True)


def filled(shape, p, scale):
    n = int(torch.tensor(shape).prod())
    i = torch.arange(n, dtype=torch.int64)
    v = ((i * 7919 + p * 104729) % 1009).double() / 1009 - 0.5
    return (v * scale).float().reshape(shape)


def numbers():
    """Loss, and of each gradient two sums, for small networks with values that both sides can make."""
    out = {}
    torch.manual_seed(0)
    cases = {
        "cnn": (cnn([2, 8, 12], [3, 4], 5), filled((6, 2, 8, 12), 99, 2.0), torch.arange(6) % 5),
        "resnet": (resnet(8, 5), filled((6, 3, 8, 8), 99, 2.0), torch.arange(6) % 5),
        "lm": (Gpt(11, 6, 16, 2, 4), torch.arange(18).reshape(3, 6) * 5 % 11, torch.arange(18) * 3 % 11),
    }
    for name, (model, x, y) in cases.items():
        model = model.double()
        for p, parameter in enumerate(model.parameters()):
            parameter.data = filled(tuple(parameter.shape), p, 0.6).double()
        loss = F.cross_entropy(model(x.double() if x.is_floating_point() else x), y)
        loss.backward()
        sums = []
        for parameter in model.parameters():
            g = parameter.grad.flatten()
            weights = torch.arange(len(g)).double() % 7 - 3
            sums.append([float((g * g).sum().sqrt()), float((g * weights).sum())])
        out[name] = {"loss": float(loss), "sums": sums}
    print(json.dumps(out, indent=1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=lambda s: [int(t) for t in s.split(",")], default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workloads", default="mlp,wide,cnn,colour,resnet,lm")
    parser.add_argument("--numbers", action="store_true")
    args = parser.parse_args()
    numbers() if args.numbers else speed(args)


if __name__ == "__main__":
    main()
