"""What run.py says at the end: the table of parts, summary.md, summary.json. Standard library only."""
import datetime
import platform

import facts as fact


def facts(machine, results, command):
    counts = {status: sum(r["status"] == status for r in results) for status in ("passed", "failed", "skipped")}
    by_name = {result["part"]: result for result in results}
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "build": machine.build, "host": platform.platform(), "card": machine.name, "compute_capability": machine.capability,
        "cuda": machine.cuda, "nvidia_smi": {"before": machine.before, "after": machine.after}, "command": command,
        "counts": counts,
        "parts": [{key: r[key] for key in ("part", "status", "reason", "seconds")} for r in results],
        "bench": bench_facts(by_name.get("bench", {})), "train": train_facts(by_name.get("train", {})), "peers": ratios(by_name),
        "sass": [{"kernel": k["kernel"], "architecture": k["architecture"], "share": (k["loop"] or {}).get("share"),
                  "share_around": ((k["loop"] or {}).get("around") or {}).get("share")}
                 for k in by_name.get("sass", {}).get("kernels", [])],
    }


def bench_facts(bench):
    found = {}
    for batch, one in bench.get("batches", {}).items():
        measured, comparison = one.get("measured"), one.get("comparison") or {}
        if measured:
            found[batch] = {
                "network_ms": fact.whole_ms(measured), "images_per_s": measured.get("images_per_s"),
                "no_graph_p50_ms": fact.whole_ms(one["no_graph"])["p50"] if one.get("no_graph") else None,
                "model_ms": (comparison.get("network") or {}).get("model_ms"), "model_of": bench.get("card"),
                "model_holds": comparison.get("holds"), "launches": len(comparison.get("rows", [])), "median_ratio": comparison.get("median_ratio"),
                "below": comparison.get("below"), "unmatched": comparison.get("unmatched"),
            }
    return found


def train_facts(train):
    """The training step by batch, by kind of step, and beside PyTorch; with the PyTorch that was measured, or why there is none."""
    kinds = {batch: one["kinds"] for batch, one in train.get("batches", {}).items() if one.get("kinds")}
    return {"on": train.get("on"), "batches": bench_facts(train), "kinds": kinds, "peers": train.get("ratios", []),
            "pytorch": {key: train["pytorch"].get(key) for key in ("torch", "cudnn", "device", "size", "what", "not_reached")}
                       if train.get("pytorch") else None, "no_pytorch": train.get("no_pytorch")}


def best_ratios(rows):
    """nodal / best PyTorch in float32, a text per batch."""
    best = fact.best_peers(rows, "fp32")
    return [f"{b}: {row['ratio_wall']:.2f} ({row['variant']})" for b, row in sorted(best.items()) if row["ratio_wall"]]


def ratios(by_name):
    return [dict(row, where=by_name[name]["device"]) for name in ("peers", "compile") if name in by_name
            for row in by_name[name].get("ratios", [])]


def what(result):
    """A part in a few words."""
    if result["reason"]:
        return result["reason"]
    if result["part"] in ("bench", "train"):
        found = bench_facts(result)
        times = "p50 " + ", ".join(f"batch {b} {f['network_ms']['p50']:.2f} ms" for b, f in found.items())
        if result["part"] == "bench":
            return times
        if result["no_pytorch"]:
            return f"{times}; {result['no_pytorch']}"
        return f"{times}; nodal / best PyTorch fp32 {', '.join(f'batch {text}' for text in best_ratios(result['ratios'])) or 'not reached'}{unreached(result['pytorch'])}"
    if result["part"] == "sass":
        shares = [k["loop"]["share"] for k in result["kernels"] if k["loop"]]
        return f"FFMA in main loops {min(shares):.0%} to {max(shares):.0%}"
    if "ratios" in result:
        return f"{len(result['ratios'])} peers timed{unreached(result)}"
    return f"{result.get('passed', 0)} passed, {result.get('failed', 0)} failed"


def unreached(peers):
    return f"; no time for {', '.join(peers['not_reached'])}" if peers.get("not_reached") else ""


def short(names):
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def verdicts(results):
    return [[r["part"], r["status"], round(r["seconds"]), what(r)] for r in results]


def row_for_runs(facts_):
    """The row for docs/gpu-runs.md."""
    smi = (facts_["nvidia_smi"]["before"] or [{}])[0]
    build, train = facts_["build"], facts_["train"] if facts_["train"]["on"] == "cuda" else train_facts({})
    both = [("batch", facts_["bench"]), ("train", train["batches"])]
    times = [f"{what} {b}: {f['network_ms']['p50']:.2f}" for what, found in both for b, f in found.items()]
    models = [f"{what} {b}: {fact.cell(f['model_ms'], 2)}, ratio {fact.cell(f['median_ratio'], 2)}"
              for what, found in both for b, f in found.items()]
    peers = [f"batch {text}" for text in best_ratios([row for row in facts_["peers"] if row["where"] != "cpu"])]
    peers += [f"train {text}" for text in best_ratios(train["peers"])]
    results = [f"{p['part']} {p['status']}" for p in facts_["parts"]]
    return [facts_["date"][:10], build["commit"][:12] + (" and changes" if build.get("dirty") else ""),
            f"{facts_['card'] or 'none'}, driver {smi.get('driver_version', 'none')}", f"run.sh {facts_['command']}", "; ".join(results),
            "; ".join(times) or "-", "; ".join(models) or "-", "; ".join(peers) or "-"]


RUNS_HEADER = ["date", "commit", "card", "command", "parts", "p50, ms", "model, ms", "nodal / best PyTorch fp32"]


def latency(found):
    """A table of the batches of `bench_facts`, and what is odd about them."""
    header = ["batch", "p50 ms", "min ms", "without graph", "images/s", "model ms", "model <= measured", "launches", "median ratio"]
    rows = [[int(b), f["network_ms"]["p50"], f["network_ms"]["min"], f["no_graph_p50_ms"], f["images_per_s"], f["model_ms"],
             {True: "yes", False: "no", None: "-"}[f["model_holds"]], f["launches"], f["median_ratio"]] for b, f in found.items()]
    return [fact.markdown(header, rows)] + [f"Batch {b}, {kind}: {short(f[key])}\n" for b, f in found.items() for key, kind in
            (("below", "measured below the model"), ("unmatched", "in only one of the two")) if f[key]]


def beside_pytorch(rows, about):
    """A table of peers, and what its numbers are."""
    header = ["batch", "precision", "peer", "nodal ms", "peer, device ms", "peer, wall ms", "nodal / device", "nodal / wall"]
    rows = [[r["batch"], r["precision"], r["variant"], r["nodal_ms"], r["device_ms"], r["wall_ms"], r["ratio_device"],
             r["ratio_wall"] if not r["error"] else r["error"]] for r in rows]
    return [f"PyTorch {about['torch']}, cuDNN {about['cudnn']}, on {about['device']}; "
            f"{about['size']}×{about['size']}. Below 1, nodal is faster.", "", fact.markdown(header, rows),
            *(f"- {key}: {value}" for key, value in about["what"].items()), ""]


def training(train):
    """The training step: whole, by kind of step, beside PyTorch."""
    lines = ["## The training step, and the model beside it", "", *latency(train["batches"])]
    for batch, kinds in train["kinds"].items():
        rows = [[k["kind"], k["measured_ms"], k["model_ms"], k["ratio"]] for k in kinds]
        lines += [f"Batch {batch}, the launches of a kind added, one after the other:", "",
                  fact.markdown(["kind of step", "measured ms", "model ms", "measured / model"], rows)]
    lines += ["Launch by launch: `train.log`.", ""] if train["kinds"] else []
    if train["peers"]:
        lines += ["### Beside PyTorch", "", *beside_pytorch(train["peers"], train["pytorch"])]
        lines += [f"nodal / best PyTorch fp32, wall: batch {text}\n" for text in best_ratios(train["peers"])]
    elif train["no_pytorch"]:
        lines += [f"Not beside PyTorch: {train['no_pytorch']}.", ""]
    return lines


def text(facts_, results):
    lines = ["# nodal on a GPU", ""]
    build = facts_["build"]
    lines += [f"{facts_['date']}, {facts_['card'] or 'no GPU'}, commit {build['commit']}{' with changes' if build.get('dirty') else ''}, "
              f"built {build['date']} for {', '.join(build['architectures'])}.", ""]
    lines += [fact.markdown(["part", "result", "s", "what"], verdicts(results))]
    smi = [[when, *(row[f] for f in fact.SMI_FIELDS)] for when in ("before", "after") for row in facts_["nvidia_smi"][when]]
    if smi:
        lines += ["## The card", "", fact.markdown(["when", *fact.SMI_FIELDS], smi)]
        lines += [f"While `{r['part']}` ran: {r['clocks']}\n" for r in results if r.get("clocks")]
    if facts_["bench"]:
        lines += ["## Latency, and the model beside it", "", *latency(facts_["bench"]), "Launch by launch: `bench.log`.", ""]
    if facts_["train"]["batches"] or facts_["train"]["peers"]:
        lines += training(facts_["train"])
    if facts_["peers"]:
        about = next(r for r in results if r.get("what"))
        lines += ["## nodal beside PyTorch", "", *beside_pytorch(facts_["peers"], about)]
        limits = next((r["limits"] for r in results if r.get("limits")), None)
        if limits:
            lines += [f"The card through PyTorch: copy {limits['copy_gb_per_s']:.0f} GB/s, "
                      f"float32 matrix product {limits['matmul_fp32_gflops']:.0f} GFLOP/s.", ""]
    if facts_["sass"]:
        lines += ["## Multiply-adds in the main loops", "", fact.markdown(["kernel", "code", "innermost loop", "loop around"],
                  [[s["kernel"], s["architecture"], s["share"], s["share_around"]] for s in facts_["sass"]])]
    lines += ["## For docs/gpu-runs.md", "", "```", fact.markdown(RUNS_HEADER, [row_for_runs(facts_)]).splitlines()[-1], "```", ""]
    return "\n".join(lines)
