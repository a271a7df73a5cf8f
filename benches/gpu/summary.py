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
        "bench": bench_facts(by_name.get("bench", {})), "peers": ratios(by_name),
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
                "network_ms": measured["network_ms"], "images_per_s": measured.get("images_per_s"),
                "no_graph_p50_ms": (one.get("no_graph") or {}).get("network_ms", {}).get("p50"),
                "model_ms": (comparison.get("network") or {}).get("model_ms"), "model_of": bench.get("card"),
                "model_holds": comparison.get("holds"), "launches": len(comparison.get("rows", [])), "median_ratio": comparison.get("median_ratio"),
                "below": comparison.get("below"), "unmatched": comparison.get("unmatched"),
            }
    return found


def ratios(by_name):
    return [dict(row, where=by_name[name]["device"]) for name in ("peers", "compile") if name in by_name
            for row in by_name[name].get("ratios", [])]


def what(result):
    """A part in a few words."""
    if result["reason"]:
        return result["reason"]
    if result["part"] == "bench":
        found = bench_facts(result)
        return "p50 " + ", ".join(f"batch {b} {f['network_ms']['p50']:.2f} ms" for b, f in found.items())
    if result["part"] == "sass":
        shares = [k["loop"]["share"] for k in result["kernels"] if k["loop"]]
        return f"FFMA in main loops {min(shares):.0%} to {max(shares):.0%}"
    if "ratios" in result:
        unreached = f"; no time for {', '.join(result['not_reached'])}" if result.get("not_reached") else ""
        return f"{len(result['ratios'])} peers timed{unreached}"
    return f"{result.get('passed', 0)} passed, {result.get('failed', 0)} failed"


def short(names):
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def verdicts(results):
    return [[r["part"], r["status"], round(r["seconds"]), what(r)] for r in results]


def row_for_runs(facts_):
    """The row for docs/gpu-runs.md."""
    smi = (facts_["nvidia_smi"]["before"] or [{}])[0]
    build, bench = facts_["build"], facts_["bench"]
    times = [f"batch {b}: {f['network_ms']['p50']:.2f}" for b, f in bench.items()]
    models = [f"batch {b}: {fact.cell(f['model_ms'], 2)}, ratio {fact.cell(f['median_ratio'], 2)}" for b, f in bench.items()]
    best = fact.best_peers([row for row in facts_["peers"] if row["where"] != "cpu"], "fp32")
    peers = [f"batch {b}: {row['ratio_wall']:.2f} ({row['variant']})" for b, row in sorted(best.items()) if row["ratio_wall"]]
    results = [f"{p['part']} {p['status']}" for p in facts_["parts"]]
    return [facts_["date"][:10], build["commit"][:12] + (" and changes" if build.get("dirty") else ""),
            f"{facts_['card'] or 'none'}, driver {smi.get('driver_version', 'none')}", f"run.sh {facts_['command']}", "; ".join(results),
            "; ".join(times) or "-", "; ".join(models) or "-", "; ".join(peers) or "-"]


RUNS_HEADER = ["date", "commit", "card", "command", "parts", "p50, ms", "model, ms", "nodal / best PyTorch fp32"]


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
        header = ["batch", "p50 ms", "min ms", "without graph", "images/s", "model ms", "model <= measured", "launches", "median ratio"]
        rows = [[int(b), f["network_ms"]["p50"], f["network_ms"]["min"], f["no_graph_p50_ms"], f["images_per_s"], f["model_ms"],
                 {True: "yes", False: "no", None: "-"}[f["model_holds"]], f["launches"], f["median_ratio"]] for b, f in facts_["bench"].items()]
        lines += ["## Latency, and the model beside it", "", fact.markdown(header, rows)]
        for b, f in facts_["bench"].items():
            lines += [f"Batch {b}, {kind}: {short(f[key])}\n" for key, kind in
                      (("below", "measured below the model"), ("unmatched", "in only one of the two")) if f[key]]
        lines += ["Launch by launch: `bench.log`.", ""]
    if facts_["peers"]:
        header = ["batch", "precision", "peer", "nodal ms", "peer, device ms", "peer, wall ms", "nodal / device", "nodal / wall"]
        rows = [[r["batch"], r["precision"], r["variant"], r["nodal_ms"], r["device_ms"], r["wall_ms"], r["ratio_device"],
                 r["ratio_wall"] if not r["error"] else r["error"]] for r in facts_["peers"]]
        about = next(r for r in results if r.get("what"))
        lines += ["## nodal beside PyTorch", "", f"PyTorch {about['torch']}, cuDNN {about['cudnn']}, on {about['device']}; "
                  f"{about['size']}×{about['size']}. Below 1, nodal is faster.", "", fact.markdown(header, rows)]
        lines += [f"- {key}: {value}" for key, value in about["what"].items()] + [""]
        limits = next((r["limits"] for r in results if r.get("limits")), None)
        if limits:
            lines += [f"The card through PyTorch: copy {limits['copy_gb_per_s']:.0f} GB/s, "
                      f"float32 matrix product {limits['matmul_fp32_gflops']:.0f} GFLOP/s.", ""]
    if facts_["sass"]:
        lines += ["## Multiply-adds in the main loops", "", fact.markdown(["kernel", "code", "innermost loop", "loop around"],
                  [[s["kernel"], s["architecture"], s["share"], s["share_around"]] for s in facts_["sass"]])]
    lines += ["## For docs/gpu-runs.md", "", "```", fact.markdown(RUNS_HEADER, [row_for_runs(facts_)]).splitlines()[-1], "```", ""]
    return "\n".join(lines)
