#!/usr/bin/env python3
"""Times PyTorch, ONNX Runtime and nodal on the CPU, alternately, in one run, and prints ratios.

All compute the same network with the same weights on the same number of threads, in rounds, so that a drift of the machine
hits all alike: a peer runs `--repeats` forward passes a round, nodal, a process of its own, as many as fit into a second. The network alone is timed: one batch of
normalised images in, logits out.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torchvision
from safetensors.torch import load_file

warnings.filterwarnings("ignore")


def pytorch(weights):
    net = torchvision.models.inception_v3(weights=None, aux_logits=True, init_weights=False, num_classes=1)
    net.aux_logits, net.AuxLogits = False, None
    net.load_state_dict(load_file(weights), strict=False)
    return net.eval()


def session(net, size, threads, folder):
    path = Path(folder) / "inception.onnx"
    torch.onnx.export(net, torch.zeros(1, 3, size, size), path, dynamo=False, input_names=["x"],
                      dynamic_axes={"x": {0: "n"}})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def timed(step, repeats):
    milliseconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        step()
        milliseconds.append((time.perf_counter() - begin) * 1e3)
    return milliseconds


def nodal(binary, weights, args, seconds):
    """One round of `nodal bench`: the network's sorted quantiles and all keys it prints."""
    command = [binary, "bench", "--device", "cpu", "--threads", args.threads, "--batch", args.batch, "--size", args.size,
               "--weights", weights, "--seconds", seconds, "--json"]
    return json.loads(subprocess.run([str(c) for c in command], check=True, capture_output=True).stdout)


def agreement(net, onnx, binary, weights, threads, size):
    """Logits of one crop by all three must agree before anything is timed."""
    from PIL import Image
    crop = Path(__file__).parents[2] / "examples/crops/val/grass/grass-000.jpg"
    grey = np.asarray(Image.open(crop), dtype=np.float32)
    padded = np.zeros((size, size), np.float32)
    top, left = (size - grey.shape[0]) // 2, (size - grey.shape[1]) // 2
    padded[top:top + grey.shape[0], left:left + grey.shape[1]] = grey
    x = np.repeat(padded[None, None] / np.float32(127.5) - np.float32(1), 3, axis=1)
    with torch.no_grad():
        ours = net(torch.from_numpy(x)).sigmoid().item()
    theirs = 1 / (1 + np.exp(-onnx.run(None, {"x": x})[0].item()))
    command = [binary, "predict", "--weights", weights, "--threads", str(threads), "--size", str(size), "--json", str(crop)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["results"][0]
    p = result["probabilities"]["positive"]
    print(f"probability of one crop: PyTorch {ours:.7f}, ONNX Runtime {theirs:.7f}, nodal {p:.7f}")
    if max(abs(p - ours), abs(theirs - ours)) > 1e-5:
        sys.exit("the peers disagree: nothing is timed")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nodal", default="target/release/nodal")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--size", type=int, default=299)
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument("--repeats", type=int, default=20, help="forward passes of each peer in a round")
    options.add_argument("--json", type=Path, help="also write the numbers here")
    args = options.parse_args()
    torch.set_num_threads(args.threads)

    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.safetensors")
        subprocess.run([args.nodal, "init", "--seed", "1", "-o", weights], check=True, capture_output=True)
        net = pytorch(weights)
        onnx = session(net, args.size, args.threads, folder)
        agreement(net, onnx, args.nodal, weights, args.threads, args.size)

        x = torch.randn(args.batch, 3, args.size, args.size)
        last = x.to(memory_format=torch.channels_last)
        frozen = torch.jit.optimize_for_inference(torch.jit.trace(net, x))
        blocked = pytorch(weights).to(memory_format=torch.channels_last)
        array = x.numpy()
        peers = {
            "PyTorch": lambda: net(x),
            "PyTorch channels_last": lambda: blocked(last),
            "PyTorch jit, frozen": lambda: frozen(x),
            "ONNX Runtime": lambda: onnx.run(None, {"x": array}),
        }
        samples = {name: [] for name in peers} | {"nodal": []}
        peak = []
        with torch.no_grad():
            for step in peers.values():
                timed(step, 5)
            seconds = 1.0
            for round in range(args.rounds):
                for name, step in peers.items():
                    samples[name].append(sorted(timed(step, args.repeats)))
                    time.sleep(0.3)  # a peer's threads may still spin
                result = nodal(args.nodal, weights, args, seconds)
                network = result["network_ms"]
                samples["nodal"].append([network["min"], network["p50"]])
                peak.append(result["peak_gflops"])
                print(f"round {round + 1} of {args.rounds}", file=sys.stderr)

    flops = 11.43e9 * args.batch * (args.size / 299) ** 2
    rows = {}
    for name, rounds in samples.items():
        p50 = statistics.median(r[1] if name == "nodal" else statistics.median(r) for r in rounds)
        rows[name] = {"min_ms": min(r[0] for r in rounds), "p50_ms": p50}
    ours, best = rows["nodal"], max(peak)  # a round disturbed by others measures less than the peak
    print(f"\nbatch {args.batch}, {args.size}×{args.size}, {args.threads} threads, {args.rounds} rounds; "
          f"measured peak {best:.0f} GFLOP/s")
    print(f"{'':24}{'p50 ms':>10}{'min ms':>10}{'of peak':>10}{'nodal/peer p50':>16}{'min':>8}")
    for name, row in rows.items():
        row["share_of_peak"] = flops / row["p50_ms"] / 1e6 / best
        row["ratio_p50"], row["ratio_min"] = ours["p50_ms"] / row["p50_ms"], ours["min_ms"] / row["min_ms"]
        print(f"{name:24}{row['p50_ms']:10.2f}{row['min_ms']:10.2f}{row['share_of_peak']:10.0%}"
              f"{row['ratio_p50']:16.2f}{row['ratio_min']:8.2f}")
    if args.json:
        about = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "threads": args.threads,
                 "batch": args.batch, "size": args.size, "peak_gflops": best, "peers": rows}
        args.json.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
