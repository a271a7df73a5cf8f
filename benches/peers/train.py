#!/usr/bin/env python3
"""Times one training step of PyTorch and of nodal on the CPU, alternately, in one run, and prints the ratio.

A step is forward, loss, backward and update (SGD with momentum and weight decay) of one batch that is there already, in
float32, on the same number of threads, with the first convolutions frozen in inference mode. PyTorch runs in both memory
layouts; its better one counts. nodal is a process of its own, `nodal bench --train`. Rounds alternate, so that a drift of
the machine hits all alike.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import torch
import torchvision

warnings.filterwarnings("ignore")


class Step:
    """PyTorch's training step in one memory layout."""

    def __init__(self, args, form):
        torch.manual_seed(1)
        net = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False, num_classes=1)
        self.net = net.to(memory_format=form).train()
        self.net.dropout.p = 0.0
        names = [name for name, module in net.named_modules() if type(module).__name__ == "BasicConv2d"]
        for name in names[:args.freeze]:
            self.net.get_submodule(name).eval().requires_grad_(False)
        learned = [p for p in self.net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(learned, lr=1e-4, momentum=0.9, weight_decay=1e-4)
        self.x = torch.randn(args.batch, 3, args.size, args.size).to(memory_format=form)
        self.labels = (torch.arange(args.batch) % 2).float()

    def __call__(self):
        self.optimizer.zero_grad(set_to_none=False)
        logits = self.net(self.x)[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def timed(step, repeats):
    milliseconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        step()
        milliseconds.append((time.perf_counter() - begin) * 1e3)
    return milliseconds


def nodal(args):
    """One round of `nodal bench --train`: the quantiles of a step."""
    command = [args.nodal, "bench", "--train", "--device", "cpu", "--threads", args.threads, "--batch", args.batch,
               "--size", args.size, "--freeze", args.freeze, "--seconds", args.seconds, "--json"]
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"nodal bench --train: {result.stderr.strip()}")
    return json.loads(result.stdout)["step_ms"]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nodal", default="target/release/nodal")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--size", type=int, default=299)
    options.add_argument("--freeze", type=int, default=3, help="convolutions that do not learn")
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--repeats", type=int, default=3, help="PyTorch's steps in a round and layout")
    options.add_argument("--seconds", type=float, default=10.0, help="nodal's share of a round")
    options.add_argument("--json", type=Path, help="also write the numbers here")
    args = options.parse_args()
    torch.set_num_threads(args.threads)

    peers = {"PyTorch": Step(args, torch.contiguous_format), "PyTorch channels_last": Step(args, torch.channels_last)}
    samples, quantiles = {name: [] for name in peers}, []
    for step in peers.values():
        step()
    for round in range(args.rounds):
        for name, step in peers.items():
            samples[name] += timed(step, args.repeats)
            time.sleep(0.3)  # a peer's threads may still spin
        quantiles.append(nodal(args))
        print(f"round {round + 1} of {args.rounds}", file=sys.stderr)

    rows = {name: {"min_ms": min(all), "p50_ms": statistics.median(all)} for name, all in samples.items()}
    best = min(rows, key=lambda name: rows[name]["p50_ms"])
    ours = {"min_ms": min(q["min"] for q in quantiles), "p50_ms": statistics.median(q["p50"] for q in quantiles)}
    rows["nodal"] = ours
    print(f"\none training step, batch {args.batch}, {args.size}×{args.size}, the first {args.freeze} convolutions frozen, "
          f"{args.threads} threads, {args.rounds} rounds")
    print(f"{'':24}{'p50 ms':>10}{'min ms':>10}{'images/s':>10}{'nodal/peer p50':>16}{'min':>8}")
    for name, row in rows.items():
        row["ratio_p50"], row["ratio_min"] = ours["p50_ms"] / row["p50_ms"], ours["min_ms"] / row["min_ms"]
        print(f"{name:24}{row['p50_ms']:10.0f}{row['min_ms']:10.0f}{args.batch * 1e3 / row['p50_ms']:10.1f}"
              f"{row['ratio_p50']:16.2f}{row['ratio_min']:8.2f}")
    print(f"nodal takes {rows[best]['ratio_p50']:.2f} of the time of {best}")
    if args.json:
        about = {"torch": torch.__version__, "threads": args.threads, "batch": args.batch, "size": args.size,
                 "freeze": args.freeze, "ratio": rows[best]["ratio_p50"], "best_peer": best, "peers": rows}
        args.json.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
