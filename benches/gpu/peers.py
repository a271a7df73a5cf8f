"""Times PyTorch's Inception-v3 and nodal alternately on one GPU and writes one JSON file; run.py makes ratios of it.

Same weights for all, random inputs, rounds in which every variant and nodal take their turn, so that a drift of the card
hits all alike. What a number includes:
  device_ms  PyTorch: CUDA events around the forward pass; inputs lie on the device already, and are
             rotated; a CUDA graph's time includes copying them to where it reads
  wall_ms    PyTorch: host clock around copying a pinned batch to the device, the forward pass, the logits read back
  nodal      host clock around copying the batch to the device, the network, the probabilities read back
Pinned batches have the dtype and layout that the variant computes in. nodal computes in float32 throughout.
"""
import argparse
import copy
import functools
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import torchvision

WHAT = {
    "device_ms": "PyTorch, CUDA events around the forward pass, inputs on the device",
    "wall_ms": "PyTorch, host clock: a pinned batch to the device, forward pass, logits read back",
    "nodal": "nodal bench, network_loop_ms: back to back, the crops read from the host's memory, the network, probabilities read back; float32",
}


def weights_of(nodal, folder):
    """nodal's own random weights, in nodal's and in PyTorch's file format."""
    ours, theirs = Path(folder) / "w.safetensors", Path(folder) / "w.pth"
    subprocess.run([nodal, "init", "--seed", "1", "-o", ours], check=True, capture_output=True)
    subprocess.run([nodal, "convert", ours, theirs], check=True, capture_output=True)
    return ours, torch.load(theirs, weights_only=True)


def network(state):
    net = torchvision.models.inception_v3(weights=None, aux_logits=True, init_weights=False, num_classes=1)
    net.aux_logits, net.AuxLogits = False, None
    net.load_state_dict(state, strict=False)
    return net.eval()


def precision(name):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    return torch.float16 if name == "fp16" else torch.float32


class Peer:
    """One way to run PyTorch: `device_step` on inputs that are there, `wall_step` from pinned memory and back."""

    mode = torch.inference_mode

    def __init__(self, name, net, device, batch, size, dtype, layout, graph=False, compiled=False):
        self.begin(name, device, batch, size, dtype, layout)
        self.net = copy.deepcopy(net).to(device, dtype).to(memory_format=layout)
        if compiled:
            self.net = torch.compile(self.net, mode="max-autotune")
        self.logits = torch.empty(batch, 1, dtype=dtype, pin_memory=self.cuda)
        self.graph = self.capture() if graph else None

    def begin(self, name, device, batch, size, dtype, layout):
        """No samples yet; batches on the host and on the device."""
        self.name, self.cuda, self.calls = name, device.type == "cuda", 0
        self.device, self.wall, self.error = [], [], None
        count = max(2, min(16, 64 // batch))
        host = [torch.rand(batch, 3, size, size).to(dtype).contiguous(memory_format=layout) for _ in range(count)]
        self.host = [x.pin_memory() for x in host] if self.cuda else host
        self.inputs = [x.to(device) for x in self.host]
        self.x = self.inputs[0].clone()

    @torch.inference_mode()
    def capture(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.net(self.x)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.y = self.net(self.x)
        return graph

    def forward(self, x):
        if self.graph is None:
            return self.net(x)
        if x is not self.x:
            self.x.copy_(x)
        self.graph.replay()
        return self.y

    def device_step(self):
        self.calls += 1
        x = self.inputs[self.calls % len(self.inputs)]
        if not self.cuda:
            begin = time.perf_counter()
            self.forward(x)
            return (time.perf_counter() - begin) * 1e3
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        self.forward(x)
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def wall_step(self):
        self.calls += 1
        begin = time.perf_counter()
        self.x.copy_(self.host[self.calls % len(self.host)], non_blocking=True)
        self.logits.copy_(self.forward(self.x), non_blocking=True)
        if self.cuda:
            torch.cuda.synchronize()
        return (time.perf_counter() - begin) * 1e3

    def turn(self, seconds):
        """A round: both ways, each for as long as that."""
        with self.mode():
            for step, samples in ((self.device_step, self.device), (self.wall_step, self.wall)):
                for _ in range(3):
                    step()
                begin, times = time.perf_counter(), []
                while len(times) < 3 or time.perf_counter() - begin < seconds:
                    times.append(step())
                samples.append(times)

    def row(self):
        row = {"variant": self.name, "device_ms": summary(self.device), "wall_ms": summary(self.wall)}
        return dict(row, error=self.error) if self.error else row


def summary(rounds):
    """Median of the rounds' medians, the least, and how many calls."""
    if not rounds:
        return None
    return {"median": statistics.median(map(statistics.median, rounds)), "min": min(map(min, rounds)),
            "rounds": len(rounds), "calls": sum(map(len, rounds))}


def one_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def nodal_turn(args, batch, weights, *extra):
    command = [args.nodal, "bench", "--device", args.device, "--batch", batch, "--size", args.size, "--weights", weights,
               "--seconds", 0.2 if args.quick else 1, "--json", *extra]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(one_line(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no message"))
    return json.loads(done.stdout)


def variants(args, graph):
    if args.compile:
        return [("compile max-autotune channels_last", torch.channels_last, {"compiled": True})]
    plain, last = torch.contiguous_format, torch.channels_last
    found = [("eager", plain, {}), ("eager channels_last", last, {})]
    return found + [("CUDA graph", plain, {"graph": True}), ("CUDA graph channels_last", last, {"graph": True})] * graph


def group(args, makers, nodal, batch, name):
    """All peers of one batch and precision, and nodal, in rounds; `nodal` measures a turn of it, its quantiles in ms."""
    rows, peers = [], []
    for title, make in makers.items():
        try:
            peer = make()
            peer.turn(0.0)
            peer.device, peer.wall = [], []
            peers.append(peer)
        except Exception as error:
            rows.append({"variant": title, "error": one_line(error)})
    found, ours = {"batch": batch, "precision": name}, []
    for _ in range(args.rounds):
        for peer in peers:
            try:
                peer.turn(args.seconds)
            except Exception as error:
                peer.error = one_line(error)
        try:
            ours.append(nodal())
        except Exception as error:
            found["nodal_error"] = one_line(error)
    if ours:
        found["nodal"] = {"median_ms": statistics.median(r["p50"] for r in ours), "min_ms": min(r["min"] for r in ours),
                          "rounds": len(ours)}
    return dict(found, rows=[peer.row() for peer in peers] + rows)


def groups(args, facts, precisions, batches, measure):
    """Measures group after group until the budget is spent, and writes what is there after each."""
    longest, begin = 0.0, time.monotonic()
    for name in precisions:
        for batch in batches:
            started = time.monotonic()
            if started - begin + longest > args.budget:
                facts["not_reached"].append(f"{name} batch {batch}")
            else:
                facts["groups"].append(measure(batch, name))
                longest = max(longest, time.monotonic() - started)
                print(json.dumps(facts["groups"][-1]), flush=True)
            if args.device == "cuda":
                torch.cuda.empty_cache()
            args.out.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def about(args, what):
    """The head of the file."""
    return {"torch": torch.__version__, "torchvision": torchvision.__version__, "cudnn": torch.backends.cudnn.version(),
            "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu", "size": args.size, "what": what, "groups": [],
            "not_reached": []}


def limits(device):
    """What the card reaches through PyTorch: a copy of 1 GiB, and a float32 matrix product without TF32."""
    def best(step):
        times = []
        for _ in range(8):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            step()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end))
        return min(times)
    precision("fp32")
    source, target = torch.rand(1 << 28, device=device), torch.empty(1 << 28, device=device)
    x = torch.randn(8192, 8192, device=device)
    return {"copy_gb_per_s": 2 * 4 * (1 << 28) / best(lambda: target.copy_(source)) / 1e6,
            "matmul_fp32_gflops": 2 * 8192 ** 3 / best(lambda: x @ x) / 1e6}


def options_of(description, rounds):
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("out", type=Path)
    options.add_argument("--nodal", default="bin/nodal")
    options.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    options.add_argument("--budget", type=float, default=440, help="seconds after which no new group begins")
    options.add_argument("--rounds", type=int, default=rounds)
    options.add_argument("--quick", action="store_true", help="small and short, to try this script out")
    return options


def main():
    options = options_of(__doc__, rounds=2)
    options.add_argument("--compile", action="store_true", help="torch.compile instead of eager and graphs")
    args = options.parse_args()
    args.size, args.seconds = (96, 0.1) if args.quick else (299, 0.4)
    device = torch.device(args.device)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    cuda = device.type == "cuda"
    precisions = ["fp32", "tf32", "fp16"] if cuda else ["fp32"]
    batches = [1, 2] if args.quick else [1, 64, 8] if args.compile else [1, 8, 64]
    facts = about(args, WHAT)

    with tempfile.TemporaryDirectory() as folder:
        ours, state = weights_of(args.nodal, folder)
        net = network(state)

        def measure(batch, name):
            dtype = precision(name)
            makers = {title: functools.partial(Peer, title, net, device, batch, args.size, dtype, layout, **how)
                      for title, layout, how in variants(args, cuda)}
            found = group(args, makers, lambda: nodal_turn(args, batch, ours)["network_loop_ms"], batch, name)
            if args.compile:
                torch._dynamo.reset()
            return found

        groups(args, facts, precisions, batches, measure)
        if cuda and not args.compile:
            facts["limits"] = limits(device)
            args.out.write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
