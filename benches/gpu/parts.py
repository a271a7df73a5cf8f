"""The parts of run.py, in the order they run: each fills `part.facts` and names in `part.problems` what is wrong."""
import json
import os
import shutil
import sys
from pathlib import Path

import facts as fact
import sass as disassembly

ALL = ["tests", "references", "sanitize", "sanitize_train", "bench", "sass", "train", "peers", "compile"]
BATCHES = [1, 8, 64]
TRAIN_BATCHES = [64, 16]
FREEZE = 3


def tests(part):
    """Every test binary of the bundle, with a GPU required."""
    part.need_gpu()
    part.facts["binaries"] = []
    for test in part.build["tests"]:
        result = part.run([part.root / test["file"]], NODAL_REQUIRE_GPU="1")
        counts = fact.test_counts(result.out)
        part.facts["binaries"].append({"name": test["name"], "exit_code": result.code, **counts})
        part.problems += [f"{test['name']}: {name} failed" for name in counts["failed"]]
        if not counts["ended"]:
            part.problems.append(f"{test['name']}: {result.reason()}")
        elif result.code and not counts["failed"]:
            part.problems.append(f"{test['name']}: {result.reason()}")
        elif not counts["passed"]:
            part.problems.append(f"{test['name']}: ran no test")
        if "skipped: no CUDA device" in result.err:
            part.problems.append(f"{test['name']}: a test skipped the GPU")
    for key, count in (("passed", lambda b: b["passed"]), ("failed", lambda b: len(b["failed"]))):
        part.facts[key] = sum(map(count, part.facts["binaries"]))


def references(part):
    """Every reference, fused and not, as a graph and step by step; a second card; a batch that is not full."""
    part.need_gpu()
    rows = part.facts["rows"] = []
    found = (part.root / "tests/reference").glob("*.safetensors")
    for path in sorted(path for path in found if path.name.startswith(("eval-", "train-"))):
        for fuse in ("full", "none"):
            for graph in (True, False):
                verify(part, rows, path, "cuda", fuse, graph)
        if len(part.machine.devices) > 1:
            verify(part, rows, path, f"cuda:{len(part.machine.devices) - 1}", "full", True)
    partial_batch(part)
    header = ["reference", "device", "fuse", "graph", "group", "worst", "tolerance", "PyTorch f32", "passed"]
    lines = [[r["reference"], r["device"], r["fuse"], r["graph"], g["group"], *(f"{g[k]:.1e}" if g.get(k) is not None else "-"
              for k in ("relative_l2", "tolerance", "f32_error")), g["passed"]] for r in rows for g in r["groups"]]
    if lines:
        part.log(fact.table(header, lines))
    part.facts["passed"] = sum(row["passed"] for row in rows)
    part.facts["failed"] = len(rows) - part.facts["passed"]


def verify(part, rows, path, device, fuse, graph):
    command = [part.nodal, "verify", "--reference", path.relative_to(part.root), "--device", device, "--fuse", fuse, "--json"]
    result = part.run(command + ([] if graph else ["--no-graph"]), quiet=True)
    row = {"reference": path.stem, "device": device, "fuse": fuse, "graph": graph, "passed": False, "groups": []}
    rows.append(row)
    named = f"{path.stem} {device} fuse {fuse}{'' if graph else ' --no-graph'}"
    try:
        report = json.loads(result.out)
    except ValueError:
        part.problems.append(f"{named}: {result.reason()}")
        return
    wrong = [tensor for tensor in report["tensors"] if not tensor["passed"]]
    row.update(groups=report["groups"], wrong=[tensor["name"] for tensor in wrong],
               passed=report["passed"] is True and result.code == 0)
    if not row["passed"]:
        worst = max(report["groups"], key=lambda g: g["relative_l2"] or 0, default={})
        part.problems.append(f"{named}: {len(wrong)} tensors differ, worst {worst.get('relative_l2')} at {worst.get('worst')}")


def partial_batch(part):
    """80 crops in batches of 7, so that the last one has 3: the probabilities must be those of the CPU."""
    weights = part.out / "weights.safetensors"
    part.run([part.nodal, "init", "--seed", "1", "-o", weights])
    found = {}
    for device in ("cuda", "cpu"):
        command = [part.nodal, "predict", "--weights", weights, "--device", device, "--batch", 7, "--json", "examples/crops/val"]
        output, _ = part.json(command)
        found[device] = {r["image"]: r.get("probabilities") for r in output["results"]} if output else {}
    weights.unlink()
    ours, theirs = found["cuda"], found["cpu"]
    wrong = [image for image in theirs if not ours.get(image) or not theirs[image]
             or not all(abs(ours[image][k] - p) <= 1e-5 for k, p in theirs[image].items())]
    part.facts["partial_batch"] = {"images": len(theirs), "differ": wrong}
    if wrong:
        part.problems.append(f"predict --batch 7: {len(wrong)} of {len(theirs)} probabilities differ from the CPU's")


def sanitize(part):
    """compute-sanitizer's tools over the smallest reference, step by step."""
    with_sanitizer(part, {"": ["verify", "--reference", "tests/reference/eval-75x75.safetensors"]})


def sanitize_train(part):
    """compute-sanitizer's tools over small training steps, kernel by kernel."""
    step = ["bench", "--train", "--freeze", FREEZE, "--batch", 2, "--size", 75, "--seconds", 0]
    with_sanitizer(part, {f" fuse {fuse}": [*step, "--fuse", fuse] for fuse in ("full", "none")})


def with_sanitizer(part, commands):
    """All tools over all of the commands, each of which has its share of the time that is left."""
    part.need_gpu()
    program = tool("compute-sanitizer")
    if not program:
        raise part.Skip("compute-sanitizer is not installed")
    part.facts["tools"] = []
    runs = [(check + title, check, what) for title, what in commands.items()
            for check in ("memcheck", "racecheck", "initcheck", "synccheck")]
    for number, (name, check, what) in enumerate(runs):
        command = [program, "--tool", check, "--error-exitcode", "99", "--print-limit", "20", part.nodal, *what,
                   "--device", "cuda", "--no-graph"]
        result = part.run(command, timeout=part.left() / (len(runs) - number))
        errors = fact.sanitizer_errors(result.out + result.err)
        part.facts["tools"].append({"tool": name, "exit_code": result.code, "errors": errors})
        if errors is None or result.timed_out:
            part.problems.append(f"{name}: {result.reason()}")
        elif errors or result.code:
            part.problems.append(f"{name}: {errors} errors, exit code {result.code}")
    part.facts["passed"] = sum(t["errors"] == 0 and t["exit_code"] == 0 for t in part.facts["tools"])
    part.facts["failed"] = len(part.facts["tools"]) - part.facts["passed"]


def bench(part):
    """Latency by batch, and the model of the nearest card beside it, launch by launch."""
    part.need_gpu()
    card = nearest_card(part)
    batches = part.facts["batches"] = {str(batch): {} for batch in BATCHES}
    clocks = part.sample_clocks()
    for batch, found in batches.items():
        command = [part.nodal, "bench", "--device", "cuda", "--batch", batch, "--json"]
        found["measured"], _ = part.json(command, timeout=60)
        found["no_graph"], _ = part.json(command + ["--no-graph", "--seconds", "1"], timeout=60)
    part.facts["clocks"] = clocks()
    for batch, found in batches.items():
        command = [part.nodal, "bench", "--device", "sim", "--card", card, "--batch", batch, "--json"]
        found["model"], _ = part.json(command)
        if not found["measured"] or not found["model"]:
            continue
        compare(part, batch, found)


def nearest_card(part):
    card, exact = fact.nearest_card(part.machine.name or "", part.machine.capability or (9, 0))
    part.facts.update(card=card, card_is_this_one=exact)
    return card


def compare(part, batch, found):
    """Sets model and measurement side by side, launch by launch."""
    found["comparison"] = comparison = fact.compare(found["model"], found["measured"])
    rows = [[r["model_ms"], r["measured_ms"], r["ratio"], r["name"]] for r in comparison["rows"]]
    part.log(f"batch {batch}, model of {part.facts['card']}\n" + fact.table(["model ms", "measured ms", "ratio", "launch"], rows))
    part.log(f"model <= measured everywhere: {comparison['holds']}; median ratio {fact.cell(comparison['median_ratio'], 2)}; "
             f"unmatched: {comparison['unmatched']}\n")


def sass(part):
    """Share of multiply-adds in the main loop of each convolution kernel, in the machine code for the card."""
    programs = [p for p in (tool("cuobjdump"), tool("nvdisasm")) if p]
    if not programs:
        raise part.Skip("neither cuobjdump nor nvdisasm is installed")
    folder = part.out / "cubins"
    shutil.rmtree(folder, ignore_errors=True)
    extracted = part.run([part.nodal, "devices", "--extract", folder])
    if extracted.code:
        raise RuntimeError(extracted.reason())
    cubins = sorted(folder.glob("*.sm_*.cubin"))
    own = 10 * part.machine.capability[0] + part.machine.capability[1] if part.machine.capability else None
    there = sorted({int(path.name.split(".sm_")[1].split(".")[0]) for path in cubins})
    runs = [a for a in there if own and a // 10 == own // 10 and a <= own][-1:] or ([] if own else there)
    if not runs:
        raise RuntimeError(f"no machine code for the card's sm_{own} among {there}")
    rows = part.facts["kernels"] = []
    for path in (p for a in runs for p in cubins if f".sm_{a}." in p.name):
        listing = listing_of(part, programs, path)
        architecture = path.name.split(".")[1]
        for name, code in sorted(disassembly.functions(listing).items()):
            if "conv" in name:
                rows.append({"kernel": name, "architecture": architecture, "loop": disassembly.main_loop(code)})
    for row in rows:
        if row["loop"] is None:
            part.problems.append(f"{row['kernel']} {row['architecture']}: no loop with FFMA found")
    if not rows:
        part.problems.append("no convolution kernel in the disassembly")
    lines = [[r["kernel"], r["architecture"], l["share"], l["ffma"], l["instructions"], (l["around"] or {}).get("share"),
              ", ".join(f"{n} {c}" for n, c in list(l["names"].items())[1:7])] for r in rows for l in [r["loop"]] if l]
    part.log(fact.table(["kernel", "code", "FFMA share", "FFMA", "of", "loop around", "others"], lines))
    shutil.rmtree(folder, ignore_errors=True)


def listing_of(part, programs, path):
    """A cubin's disassembly by the first tool that knows its architecture."""
    for program in programs:
        arguments = ["-sass", path] if "cuobjdump" in Path(program).name else ["-c", path]
        result = part.run([program, *arguments], timeout=120, quiet=True)
        if result.code == 0 and disassembly.functions(result.out):  # an unknown architecture gives no code, or an error
            return result.out
    part.problems.append(f"{path.name}: {result.reason()}")
    return ""


def train(part):
    """A training step by kind of step beside the model of the nearest card, then PyTorch's and nodal's alternately."""
    device = peers_device(part)
    card = nearest_card(part)
    small = ["--size", "75"] if device == "cpu" else []
    batches = part.facts["batches"] = {str(batch): {} for batch in ([2] if small else TRAIN_BATCHES)}
    part.facts["on"] = device
    command = [part.nodal, "bench", "--train", "--freeze", FREEZE, "--json", *small]
    clocks = part.sample_clocks()
    for batch, found in batches.items():
        on_device = command + ["--device", device, "--batch", batch, "--seconds", "2"]
        found["measured"], _ = part.json(on_device, timeout=60)
        if device == "cuda":
            found["no_graph"], _ = part.json(on_device + ["--no-graph"], timeout=60)
    for batch, found in batches.items() if device == "cuda" else ():
        found["model"], _ = part.json(command + ["--device", "sim", "--card", card, "--batch", batch], timeout=90)
        if found["measured"] and found["model"]:
            compare(part, batch, found)
            found["kinds"] = fact.compare_kinds(found["model"], found["measured"])
            rows = [[r["model_ms"], r["measured_ms"], r["ratio"], r["kind"]] for r in found["kinds"]]
            part.log(fact.table(["model ms", "measured ms", "ratio", "kind of step"], rows))
    part.facts["no_pytorch"] = no_pytorch(part, device)
    if not part.facts["no_pytorch"]:
        part.facts["pytorch"], part.facts["ratios"] = run_peers(part, "peers_train.py", device, ["--freeze", FREEZE])
    part.facts["clocks"] = clocks()


def peers(part):
    """PyTorch and nodal alternately: eager, channels_last, CUDA graph."""
    with_pytorch(part, [])


def compile(part):
    """PyTorch with torch.compile, the slowest to prepare."""
    with_pytorch(part, ["--compile"])


def with_pytorch(part, extra):
    device = peers_device(part)
    missing = no_pytorch(part, device)
    if missing:
        raise part.Skip(missing)
    clocks = part.sample_clocks()
    found, part.facts["ratios"] = run_peers(part, "peers.py", device, extra)
    part.facts.update(found, clocks=clocks())


def peers_device(part):
    device = os.environ.get("NODAL_PEERS_DEVICE", "cuda")
    if device == "cuda":
        part.need_gpu()
    return device


def no_pytorch(part, device):
    """Why PyTorch cannot be measured; None where it can."""
    there = part.run([sys.executable, "-c", "import torch, torchvision; print(torch.__version__, torch.cuda.is_available())"])
    if there.code:
        return f"{sys.executable} has no PyTorch with torchvision; set PYTHON to one that has"
    if device == "cuda" and there.out.split()[-1] != "True":
        return f"PyTorch {there.out.split()[0]} sees no CUDA device"
    return None


def run_peers(part, script, device, extra):
    """What a script that times PyTorch and nodal wrote, and a row per peer with nodal's ratio to it."""
    raw = part.out / f"{part.name}.raw.json"
    raw.unlink(missing_ok=True)
    command = [sys.executable, part.root / "gpu" / script, raw, "--nodal", part.nodal, "--device", device,
               "--budget", int(part.left() - 20), *extra]
    result = part.run(command + (["--quick"] if device == "cpu" else []))
    found = {}
    if raw.exists():
        found = json.loads(raw.read_text(encoding="utf-8"))
        raw.unlink()
    rows = fact.peer_rows(found)
    part.log(fact.table(["batch", "precision", "peer", "nodal ms", "device ms", "wall ms", "nodal/device", "nodal/wall", "error"],
                        [[r["batch"], r["precision"], r["variant"], r["nodal_ms"], r["device_ms"], r["wall_ms"],
                          r["ratio_device"], r["ratio_wall"], r["error"] or ""] for r in rows]))
    if result.code:
        part.problems.append(f"{script}: {result.reason()}")
    part.problems += [f"{r['variant']} {r['precision']} batch {r['batch']}: {r['error']}" for r in rows if r["error"]]
    part.problems += [f"nodal at batch {g['batch']}: {g['nodal_error']}" for g in found.get("groups", []) if g.get("nodal_error")]
    if not rows:
        part.problems.append("nothing was measured")
    return found, rows


def tool(name):
    """Where a tool of the CUDA toolkit is: on the PATH, in a toolkit, or inside Triton's Python package."""
    folders = [os.environ.get(key, "") + "/bin" for key in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda/bin"]
    folders += [f"{path}/triton/backends/nvidia/bin" for path in sys.path if path.endswith("-packages")]
    found = shutil.which(name)
    return found or next((f"{f}/{name}" for f in folders if os.access(f"{f}/{name}", os.X_OK)), None)
