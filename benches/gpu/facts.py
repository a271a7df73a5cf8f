"""Texts to facts, facts to tables: the pure half of run.py. Standard library only."""
import re
import statistics

# nodal's cards, by what a driver's name for one contains, and their compute capability (src/kernels/card.rs).
CARDS = [
    ("gtx-1080-ti", ("1080 Ti",), (6, 1)),
    ("v100", ("V100",), (7, 0)),
    ("a100", ("A100",), (8, 0)),
    ("rtx-4090", ("4090",), (8, 9)),
    ("h200", ("H200",), (9, 0)),
    ("h100", ("H100",), (9, 0)),
]

SMI_FIELDS = ("index", "name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "power.draw",
              "power.limit", "temperature.gpu", "utilization.gpu")


def nearest_card(name, capability):
    """The card of the model for a GPU, and whether it is that very card."""
    for card, words, _ in CARDS:
        if any(re.search(rf"\b{word}\b", name) for word in words):
            return card, True
    own = 10 * capability[0] + capability[1]
    return min(CARDS, key=lambda row: abs(10 * row[2][0] + row[2][1] - own))[0], False


def test_counts(stdout):
    """What a libtest binary printed, also when it was stopped half-way: `ended` tells."""
    verdicts = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. .*?\b(ok|FAILED|ignored)\b", stdout, re.M)
    names = {verdict: [name for name, v in verdicts if v == verdict] for verdict in ("ok", "FAILED", "ignored")}
    return {"passed": len(names["ok"]), "failed": names["FAILED"], "ignored": len(names["ignored"]),
            "ended": re.search(r"^test result: ", stdout, re.M) is not None}


def sanitizer_errors(text):
    """Errors that compute-sanitizer counted; None when it did not come to its summary."""
    found = re.findall(r"ERROR SUMMARY: (\d+) error", text)
    found += re.findall(r"RACECHECK SUMMARY: (\d+) hazard", text)
    return sum(map(int, found)) if found else None


def number(text):
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else value


def smi_rows(text):
    """Rows of `nvidia-smi --query-gpu=SMI_FIELDS --format=csv,noheader,nounits`; what a card does not tell is None."""
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == len(SMI_FIELDS):
            rows.append({field: cell if field in ("name", "driver_version") else number(cell)
                         for field, cell in zip(SMI_FIELDS, cells)})
    return rows


def clock_range(text):
    """Multiprocessor clock and power while a part ran, of the samples in which the card worked."""
    rows = smi_rows(text)
    rows = [row for row in rows if (row["utilization.gpu"] or 0) >= 20] or rows
    facts = {}
    for field, name in (("clocks.sm", "sm_mhz"), ("power.draw", "power_w")):
        values = [row[field] for row in rows if row[field] is not None]
        if values:
            facts[name] = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return facts


def ratio(a, b):
    return a / b if a is not None and b else None


def whole_ms(measured):
    """Quantiles of a whole run of `nodal bench --json`: of the network, or with --train of a step."""
    return measured.get("step_ms") or measured["network_ms"]


def compare(model, measured):
    """A row per launch of two outputs of `nodal bench --json`: the model leaves out latencies, so a ratio is mostly above 1."""
    theirs = {}
    for layer in model["layers"]:
        theirs.setdefault(layer["name"], []).append(layer["ms"])
    rows, unmatched = [], []
    for layer in measured["layers"]:
        times = theirs.get(layer["name"])
        if not times:
            unmatched.append(layer["name"])
            continue
        ms = times.pop(0)
        rows.append({"name": layer["name"], "model_ms": ms, "measured_ms": layer["ms"], "ratio": ratio(layer["ms"], ms)})
    unmatched += [name for name, times in theirs.items() for _ in times]
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    network = whole_ms(measured)
    whole = {"model_ms": model["network_ms"]["model"], "p50_ms": network["p50"], "min_ms": network["min"]}
    return {
        "rows": rows, "unmatched": unmatched, "below": [row["name"] for row in rows if (row["ratio"] or 1) < 1],
        "holds": min(ratios) >= 1 if ratios else None,
        "median_ratio": statistics.median(ratios) if ratios else None,
        "network": dict(whole, ratio=ratio(whole["min_ms"], whole["model_ms"])),
    }


def compare_kinds(model, measured):
    """A row per kind of step of two outputs of `nodal bench --train --json`, all launches of a kind added."""
    ours, theirs = {}, {}
    for sums, layers in ((ours, measured["layers"]), (theirs, model["layers"])):
        for layer in layers:
            sums[layer["kind"]] = sums.get(layer["kind"], 0.0) + layer["ms"]
    return [{"kind": kind, "model_ms": theirs.get(kind), "measured_ms": ours.get(kind), "ratio": ratio(ours.get(kind), theirs.get(kind))}
            for kind in [*ours, *(kind for kind in theirs if kind not in ours)]]


def peer_rows(peers):
    """A row per peer of what peers.py or peers_train.py wrote, with nodal's time over the peer's; below 1, nodal is faster."""
    rows = []
    for group in peers.get("groups", []):
        ours = (group.get("nodal") or {}).get("median_ms")
        for row in group["rows"]:
            device, wall = ((row.get(kind) or {}).get("median") for kind in ("device_ms", "wall_ms"))
            rows.append({"batch": group["batch"], "precision": group["precision"], "variant": row["variant"],
                         "nodal_ms": ours, "device_ms": device, "wall_ms": wall, "ratio_device": ratio(ours, device),
                         "ratio_wall": ratio(ours, wall), "error": row.get("error")})
    return rows


def best_peers(rows, precision):
    """By batch, the row of the peer with the least wall time in this precision."""
    best = {}
    for row in rows:
        if row["precision"] == precision and row["wall_ms"] is not None:
            if row["batch"] not in best or row["wall_ms"] < best[row["batch"]]["wall_ms"]:
                best[row["batch"]] = row
    return best


def cell(value, digits=3):
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def table(header, rows):
    """Aligned text: numbers to the right, words to the left."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells)]
    right = [all(isinstance(row[i], (int, float, type(None))) for row in rows) for i in range(len(header))]
    def line(row):
        return "  ".join(text.rjust(w) if r else text.ljust(w) for text, w, r in zip(row, widths, right)).rstrip()
    return "\n".join(line(row) for row in [header] + cells) + "\n"


def markdown(header, rows):
    lines = [header, ["---"] * len(header)] + [[cell(value) for value in row] for row in rows]
    return "\n".join("| " + " | ".join(text.replace("|", "/").replace("\n", " ") for text in line) + " |" for line in lines) + "\n"
