#!/usr/bin/env python3
"""What a page costs: its size, the time that it takes to load, and `audit --html` beside `audit`.

  page.py GRADWATCH [--steps 1000000] [--layers 200] [--rounds 3]

In: a gradwatch binary. Out: a table in Markdown, exit status 1 when a budget is broken. Invariants: both commands read the
same file from a warm page cache, in turns, and CPU time (user and system) is compared, not wall time; the page is
loaded by a Chromium that was started before.

Two logs: a CSV with a loss and one gradient norm per layer and step, and the shipped runs. The driver of the browser is
the one that tests/run installs; without it (or without CHROMIUM, or a chromium on the path) loading is not measured.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DRIVER = ROOT / "target" / "browser-tests"
PAGE_BYTES_MAX = 5_000_000
LOAD_MS_MAX = 1_000
HTML_COST_MAX = 2.0
KINDS_OF_ROWS = 997


def write_log(path, n_steps, n_layers):
    """Rows of which there are 997 kinds, so that writing takes no longer than reading."""
    header = ",".join(["step", "train/loss"] + [f"grad_norm/blocks.{i}.weight" for i in range(n_layers)])
    kinds = [
        ",".join(f"{0.5 + ((row * 31 + layer * 7) % 101) / 200:.4f}" for layer in range(n_layers))
        for row in range(KINDS_OF_ROWS)
    ]
    with open(path, "w", encoding="ascii") as log:
        log.write(header + "\n")
        for begin in range(0, n_steps, 1000):
            steps = range(begin, min(n_steps, begin + 1000))
            log.write("".join(f"{step},{3 / (1 + step / 1000):.5f},{kinds[step % KINDS_OF_ROWS]}\n" for step in steps))


def measured(command):
    """CPU seconds and peak megabytes of a command that ends by itself; findings are no failure."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def load_ms(pages):
    """Medians of the time to the end of the load event and to the first frame with pictures; `None` without a browser."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or not (DRIVER / "node_modules" / "playwright-core").is_dir() or shutil.which("node") is None:
        return None
    script = DRIVER / "load.mjs"
    shutil.copy(ROOT / "benches" / "load.mjs", script)
    command = ["node", str(script), *pages]
    done = subprocess.run(command, env={**os.environ, "CHROMIUM": chromium}, capture_output=True, text=True, check=True)
    return [float(line) for line in done.stdout.split()]


def measure(program, name, log, run, rounds, folder):
    page = folder / f"{name}.html"
    plain, html = [], []
    for _ in range(rounds):
        plain.append(measured([program, "audit", str(log)]))
        html.append(measured([program, "audit", str(log), "--html", str(page)]))
    cpu = [statistics.median(it[0] for it in times) for times in (plain, html)]
    peak = [max(it[1] for it in times) for times in (plain, html)]
    return {"name": name, "cpu": cpu, "peak": peak, "bytes": page.stat().st_size, "page": f"{page.as_uri()}{run}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--layers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        log = folder / "deep" / "metrics.csv"
        log.parent.mkdir()
        write_log(log, args.steps, args.layers)
        name = f"{args.steps:,} steps of {args.layers} layers ({log.stat().st_size / 1e6:,.0f} MB)"
        rows = [
            measure(args.program, "deep", log.parent, "#run=.", args.rounds, folder) | {"title": name},
            measure(args.program, "runs", ROOT / "fixtures/runs", "#run=gpt-healthy", args.rounds, folder)
            | {"title": "the shipped runs"},
        ]
        loads = load_ms([it["page"] for it in rows])
    return report(rows, loads)


def report(rows, loads):
    is_kept = True
    print("| log | `audit` CPU s | `audit --html` CPU s | ratio | peak memory | page | loaded |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row, load in zip(rows, loads or [None] * len(rows)):
        (plain, html), (_, peak) = row["cpu"], row["peak"]
        loaded = "not measured" if load is None else f"{load:.0f} ms"
        print(f"| {row['title']} | {plain:.2f} | {html:.2f} | {html / plain:.2f}x | {peak:.0f} MB | {row['bytes'] / 1e6:.2f} MB | {loaded} |")
        is_kept &= row["bytes"] < PAGE_BYTES_MAX and (load is None or load < LOAD_MS_MAX)
        # Below a tenth of a second starting the program is most of it.
        is_kept &= plain < 0.1 or html < HTML_COST_MAX * plain
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
