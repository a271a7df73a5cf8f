"""Packs what a GPU machine without Rust needs into one folder: `make gpu-bundle`. Standard library only.

The folder is laid out like the repository where tests and commands look for files (`tests/reference`, `examples/crops`);
run.sh works in it. Test binaries: the library's unit tests, and each file or folder of tests/ that opens a card and does not drive
the binary.
"""
import argparse
import datetime
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_MB = 50
DATA = ["tests/reference", "examples/crops"]


def device_tests(folder):
    """Names of the integration tests that run programs on a card."""
    names = []
    for path in sorted([*folder.glob("*.rs"), *(main.parent for main in folder.glob("*/main.rs"))]):
        sources = sorted(path.glob("*.rs")) if path.is_dir() else [path]
        source = "".join(source.read_text(encoding="utf-8") for source in sources)
        if any(f'Device::open("{card}"' in source for card in ("cuda", "auto")) and "CARGO_BIN_EXE" not in source:
            if 'env!("CARGO_MANIFEST_DIR")' in source:
                sys.exit(f"tests/{path.name}: a test that is carried to another machine must not know the folder it was "
                         "compiled in: take `common::root()`")
            names.append(path.stem)
    return names


def cargo(arguments):
    """Artifacts with an executable that a cargo command made."""
    command = ["cargo", *arguments, "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command[:-1])} failed with exit code {done.returncode}")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [m for m in messages if m["reason"] == "compiler-artifact" and m.get("executable")]


def glibc(files):
    """The newest version of glibc's symbols that any of the binaries asks for."""
    found = [tuple(map(int, pair)) for path in files for pair in re.findall(rb"GLIBC_(\d+)\.(\d+)", path.read_bytes())]
    return ".".join(map(str, max(found))) if found else "of any version"


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def architectures(nodal):
    """What machine code the binary holds, as sm_61, sm_70, …"""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([nodal, "devices", "--extract", folder], check=True, stdout=subprocess.DEVNULL)
        numbers = {int(path.name.split(".sm_")[1].split(".")[0]) for path in Path(folder).glob("*.sm_*.cubin")}
    return [f"sm_{a}" for a in sorted(numbers)]


def too_large(out, limit_mb):
    """A sentence when the folder is larger than that, None otherwise."""
    sizes = sorted(((p.stat().st_size, p) for p in out.rglob("*") if p.is_file()), reverse=True)
    total = sum(size for size, _ in sizes) / 1e6
    if total <= limit_mb:
        return None
    largest = ", ".join(f"{path.relative_to(out)} {size / 1e6:.1f} MB" for size, path in sizes[:5])
    return f"{out}: {total:.1f} MB, and {limit_mb} MB are allowed; the largest are {largest}"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=ROOT / "target/gpu-bundle")
    options.add_argument("--limit-mb", type=float, default=LIMIT_MB)
    args = options.parse_args()
    out = args.out.resolve()
    if out.exists() and any(out.iterdir()) and not (out / "build.json").exists():
        sys.exit(f"{out} is not empty and no bundle: name another folder with --out")

    names = device_tests(ROOT / "tests")
    selected = ["--lib"] + [word for name in names for word in ("--test", name)]
    binary = next(a["executable"] for a in cargo(["build", "--release", "--bin", "nodal"]) if a["target"]["name"] == "nodal")
    tests = [(a["target"]["name"], a["executable"]) for a in cargo(["test", "--no-run", *selected]) if a["profile"]["test"]]
    tests = [("library" if name == "nodal" else name, path) for name, path in tests]

    shutil.rmtree(out, ignore_errors=True)
    (out / "bin/tests").mkdir(parents=True)
    binaries = [(Path(binary), out / "bin/nodal")] + [(Path(path), out / "bin/tests" / name) for name, path in sorted(tests)]
    for source, target in binaries:
        shutil.copy(source, target)
        subprocess.run(["strip", "--strip-all", target], check=True)
    for folder in DATA:
        shutil.copytree(ROOT / folder, out / folder, ignore=shutil.ignore_patterns("*.py", "*.md", "*.txt", "__pycache__"))
    (out / "gpu").mkdir()
    for name in ("run.py", "parts.py", "facts.py", "sass.py", "summary.py", "peers.py", "peers_train.py"):
        shutil.copy(ROOT / "benches/gpu" / name, out / "gpu" / name)
    shutil.copy(ROOT / "benches/gpu/run.sh", out / "run.sh")

    build = {
        "commit": git("rev-parse", "HEAD") or "unknown", "dirty": bool(git("status", "--porcelain")),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "architectures": architectures(out / "bin/nodal"), "glibc": glibc([target for _, target in binaries]),
        "tests": [{"name": name, "file": f"bin/tests/{name}"} for name, _ in sorted(tests, key=lambda t: (t[0] != "library", t[0]))],
    }
    (out / "build.json").write_text(json.dumps(build, indent=1) + "\n", encoding="utf-8")
    readme = (ROOT / "benches/gpu/README.md").read_text(encoding="utf-8")
    for key, value in (("COMMIT", build["commit"][:12]), ("ARCHITECTURES", ", ".join(build["architectures"])), ("GLIBC", build["glibc"])):
        readme = readme.replace(f"@{key}@", value)
    (out / "README.md").write_text(readme, encoding="utf-8")
    problem = too_large(out, args.limit_mb)
    if problem:
        sys.exit(problem)
    total = sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e6
    print(f"{out}: {total:.1f} MB, tests {', '.join(t['name'] for t in build['tests'])}, glibc {build['glibc']} or newer; "
          "copy it to the GPU machine and start run.sh there")


if __name__ == "__main__":
    main()
