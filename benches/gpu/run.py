"""Everything worth knowing about nodal on the GPU at hand, in one run. Standard library only; peers.py and
peers_train.py need PyTorch.

Usage: run.sh [tests|references|sanitize|sanitize_train|bench|sass|train|peers|compile|all]... [--out DIR]

Each part has eight minutes, writes its log to out/PART.log and its facts to out/PART.json, and the next one runs whatever
became of it. A part is passed, failed, or skipped with the reason; where NODAL_REQUIRE_GPU=1, a missing GPU is a failure.
At the end: a table, out/summary.md, out/summary.json and out/all.tar.gz with everything. Exit code 1 when a part failed.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import facts as fact
import parts
import summary

ROOT = Path(__file__).resolve().parent.parent
BUDGET_S = 460


class Skip(Exception):
    """A part that cannot run here."""


class Result:
    def __init__(self, code, out, err, timed_out):
        self.code, self.out, self.err, self.timed_out = code, out, err, timed_out

    def reason(self):
        """The end of a failed command in one line."""
        if self.timed_out:
            return "stopped: out of time"
        lines = (self.err.strip() or self.out.strip() or "no message").splitlines()
        return f"exit code {self.code}: {lines[-1]}"


class Part:
    """What a part works with: a log, a deadline, and facts that are kept even when it fails half-way."""

    Skip = Skip

    def __init__(self, machine, name, out):
        self.machine, self.name, self.out = machine, name, out
        self.root, self.nodal, self.build = ROOT, str(ROOT / "bin/nodal"), machine.build
        self.deadline = time.monotonic() + BUDGET_S
        self.facts, self.problems, self.sampler = {}, [], None
        self.file = open(out / f"{name}.log", "w", encoding="utf-8")

    def log(self, text):
        self.file.write(text.rstrip("\n") + "\n")
        self.file.flush()

    def left(self):
        return max(0.0, self.deadline - time.monotonic())

    def run(self, command, timeout=None, quiet=False, **env):
        """Runs a command to its end or its time, then ends all that it started."""
        timeout = min(self.left(), timeout or BUDGET_S)
        self.log("$ " + " ".join(map(str, command)))
        result = call(command, timeout, env)
        if not quiet:
            self.log(result.out)
        if result.err:
            self.log(result.err)
        if result.timed_out:
            self.log(f"stopped after {timeout:.0f} s")
        return result

    def json(self, command, timeout=None, **env):
        """What a command prints as JSON, whatever its exit code; None, and a problem, where it prints none."""
        result = self.run(command, timeout, **env)
        try:
            return json.loads(result.out), result
        except ValueError:
            self.problems.append(f"{' '.join(map(str, command[1:]))}: {result.reason()}")
            return None, result

    def need_gpu(self):
        cuda = self.machine.cuda
        if cuda["available"]:
            return
        problem = f"no CUDA device: {cuda.get('reason') or 'no code for the card'}"
        if self.machine.before:
            raise RuntimeError(f"{problem}; but nvidia-smi sees {self.machine.before[0]['name']}")
        if os.environ.get("NODAL_REQUIRE_GPU") == "1":
            raise RuntimeError(f"NODAL_REQUIRE_GPU=1, and {problem}")
        raise Skip(problem)

    def sample_clocks(self):
        """Starts to note the card's clock and power once a second; call the result to end it and have the range."""
        path = self.out / f"{self.name}.clocks.csv"
        try:
            with open(path, "w", encoding="utf-8") as file:
                self.sampler = subprocess.Popen(smi_command() + ["-lms", "1000"], stdout=file, stderr=subprocess.DEVNULL)
        except OSError:
            return dict

        def end():
            self.end_sampler()
            return fact.clock_range(path.read_text(encoding="utf-8"))
        return end

    def end_sampler(self):
        if self.sampler:
            self.sampler.terminate()
            self.sampler.wait()


def call(command, timeout, env=None):
    """Runs a command in the bundle's folder; at its end or its time nothing of it is left running."""
    environment = dict(os.environ, CUDA_DEVICE_ORDER="PCI_BUS_ID", **(env or {}))
    environment.pop("CARGO_MANIFEST_DIR", None)
    try:
        process = subprocess.Popen([str(c) for c in command], cwd=ROOT, env=environment, text=True, errors="replace",
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
    except OSError as error:
        return Result(127, "", f"{command[0]}: {error.strerror}", False)
    try:
        out, err = process.communicate(timeout=timeout)
        return Result(process.returncode, out, err, False)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        return Result(124, out, err, True)


def smi_command():
    return ["nvidia-smi", "--query-gpu=" + ",".join(fact.SMI_FIELDS), "--format=csv,noheader,nounits"]


def smi():
    result = call(smi_command(), 30)
    return fact.smi_rows(result.out) if result.code == 0 else []


class Machine:
    """The build, and the GPU as nodal and nvidia-smi see it."""

    def __init__(self):
        self.build = json.loads((ROOT / "build.json").read_text(encoding="utf-8"))
        self.before, self.after = smi(), []
        result = call([ROOT / "bin/nodal", "devices", "--json"], 60)
        self.broken = None if result.code == 0 else f"bin/nodal does not run here: {result.reason()}"
        try:
            self.cuda = json.loads(result.out)["cuda"]
        except (ValueError, KeyError):
            self.cuda = {"available": False, "reason": self.broken}
        self.devices = self.cuda.get("devices") or []
        first = self.devices[0] if self.devices else {}
        self.name = first.get("name") or (self.before[0]["name"] if self.before else None)
        self.capability = tuple(first.get("compute_capability") or ()) or None


def run_part(machine, name, out):
    """A part's facts, with its status and the reason for it; also written to out/PART.json."""
    part = Part(machine, name, out)
    begin, status, reason = time.monotonic(), "passed", ""
    try:
        if machine.broken:
            raise RuntimeError(machine.broken)
        getattr(parts, name)(part)
        if part.problems:
            more = f" (and {len(part.problems) - 1} more)" if len(part.problems) > 1 else ""
            status, reason = "failed", part.problems[0] + more
    except Skip as skip:
        status, reason = "skipped", str(skip)
    except Exception as error:  # whatever it was, the next part runs
        status, reason = "failed", f"{error}" if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"
    part.end_sampler()
    facts = {"part": name, "status": status, "reason": reason, "seconds": round(time.monotonic() - begin, 1),
             "problems": part.problems, **part.facts}
    part.log("\n".join([f"{name}: {status}" + (f": {reason}" if reason else "")] + part.problems))
    part.file.close()
    write_json(out / f"{name}.json", facts)
    return facts


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts.ALL) + " or all")
    options.add_argument("--out", type=Path, default=ROOT / "out", help="folder for logs and facts [default: out]")
    args = options.parse_args()
    unknown = [name for name in args.parts if name not in parts.ALL + ["all"]]
    if unknown:
        options.error(f"no part is called `{unknown[0]}`; there are {', '.join(parts.ALL)}, all")
    chosen = parts.ALL if not args.parts or "all" in args.parts else args.parts
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)

    machine = Machine()
    results = []
    for name in chosen:
        print(f"{name} ...", flush=True)
        results.append(run_part(machine, name, out))
        print(f"{name}: {results[-1]['status']} after {results[-1]['seconds']:.0f} s", flush=True)
    machine.after = smi()

    facts = summary.facts(machine, results, "all" if chosen == parts.ALL else " ".join(chosen))
    write_json(out / "summary.json", facts)
    (out / "summary.md").write_text(summary.text(facts, results), encoding="utf-8")
    with tarfile.open(out / "all.tar.gz", "w:gz") as archive:
        for path in sorted(out.iterdir()):
            if path.is_file() and path.name != "all.tar.gz":
                archive.add(path, path.name)
    print("\n" + fact.table(["part", "result", "s", "what"], summary.verdicts(results)))
    counts = facts["counts"]
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped; see {out / 'summary.md'}")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
