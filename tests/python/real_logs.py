#!/usr/bin/env python3
"""Runs `gradwatch inspect` and `audit` on every file of a directory of real logs and judges what they say.

usage: real_logs.py BIN DIR     DIR holds MANIFEST.tsv with the columns file, format, what_happens, per_layer

Prints one line per file: format, series, points, per-layer series, verdict, worst finding, what the manifest says. Exit
status 1 when a file crashes the program or hangs it, when a file with numbers over steps has no points, when a run that
the manifest calls healthy is judged critical, or when a run that really failed is not flagged, or not by the step that
its log shows it at; 2 when the program or the manifest is not there.
"""

import collections
import concurrent.futures
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import textwrap

TIMEOUT_SECONDS = 120
# Files without a single number over steps, by what the manifest says of them.
NOTHING_TO_READ = ("no scalars", "final summary only", "only a final training loss", "latest values only", "final values of")
# Runs that failed, whatever a rule's author thinks of it: families of which one must be found, and the step by which a
# person who reads the log sees it. The gradient norm of tr8 leaves its range at 8740 and the loss its own at 8741 and
# 8743; all gradients of the tied run are exactly zero from step 2 on, ten logs of which prove it.
MUST_BE_FLAGGED = {
    "megatron_deepspeed/tr8-104B-wide_excerpt.log": ({"loss", "spike", "nonfinite", "precision", "depth"}, 8743),
    "wandb/olmo20m_tied_run.wandb": ({"dead", "depth"}, 12),
    "derived_jsonl_from_wandb/olmo20m_tied_run.jsonl": ({"dead", "depth"}, 12),
}
RANK = {"info": 0, "warning": 1, "critical": 2}

Result = collections.namedtuple("Result", "row inspect audit failures")


def ask(binary, command, path):
    """The JSON answer, or the reason why there is none."""
    try:
        done = subprocess.run(
            [binary, command, "--format", "json", str(path)], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return None, f"{command}: no answer in {TIMEOUT_SECONDS} s"
    # 0 to 3 are the program's own; anything else is a crash.
    if done.returncode not in (0, 1, 2, 3) or "panicked" in done.stderr:
        return None, f"{command}: status {done.returncode}: {done.stderr.strip()[:300]}"
    try:
        return json.loads(done.stdout), ""
    except ValueError:
        return None, f"{command}: status {done.returncode}, no JSON: {done.stderr.strip()[:300]}"


def every(report, key):
    return [it for run in (report or {}).get("runs", []) for it in run[key]]


def alarms(report):
    return [it for it in every(report, "findings") if RANK[it["severity"]] >= RANK["warning"]]


def judge(binary, root, row):
    path = root / row["file"]
    if row["format"] != "mlflow":
        return judge_file(binary, path, row)
    # MLflow's files are known by where they lie, and the collection has shortened the names.
    with tempfile.TemporaryDirectory() as place:
        copy = pathlib.Path(place) / row["path"]
        copy.parent.mkdir(parents=True)
        copy.write_bytes(path.read_bytes())
        return judge_file(binary, copy, row)


def judge_file(binary, path, row):
    failures = []
    inspect, why_not = ask(binary, "inspect", path)
    audit, why_no_audit = ask(binary, "audit", path)
    failures += [it for it in (why_not, why_no_audit) if it]
    points = sum(it["points"] for it in every(inspect, "series"))
    is_bare = any(words in row["what_happens"] for words in NOTHING_TO_READ)
    if inspect is not None and points == 0 and not is_bare:
        failures.append("no points")
    is_healthy = row["what_happens"].startswith("healthy")
    if is_healthy and audit is not None and audit["verdict"] == "critical":
        failures.append("healthy by the manifest, critical by the audit")
    families, last_step = MUST_BE_FLAGGED.get(row["file"], (set(), 0))
    if families and not any(it["family"] in families and it["first_step"] <= last_step for it in alarms(audit)):
        failures.append(f"must be flagged as one of {sorted(families)} by step {last_step}")
    return Result(row, inspect, audit, failures)


def print_line(result):
    row, inspect, audit, failures = result
    files = every(inspect, "files")
    series = every(inspect, "series")
    worst = max(alarms(audit), key=lambda it: RANK[it["severity"]], default=None)
    what = f"{worst['rule']} at step {worst['first_step']}" if worst else "-"
    cells = (
        ("FAIL" if failures else "ok", 5),
        (row["file"], 58),
        (files[0]["format"] if files else "-", 20),
        (str(len(series)), 6),
        (str(sum(it["points"] for it in series)), 8),
        (str(sum(it["layer"] is not None for it in series)), 6),
        (audit["verdict"] if audit else "-", 9),
        (what, 40),
    )
    manifest = textwrap.shorten(row["what_happens"], 90, placeholder=" ...")
    print("".join(f"{text:<{width}}" for text, width in cells) + manifest)
    for failure in failures:
        print(f"      ! {failure}")


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    binary, root = sys.argv[1], pathlib.Path(sys.argv[2])
    manifest = root / "MANIFEST.tsv"
    if not pathlib.Path(binary).exists() or not manifest.exists():
        print(f"{binary} or {manifest} is not there", file=sys.stderr)
        return 2
    with manifest.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda row: judge(binary, root, row), rows))
    for result in results:
        print_line(result)
    bad = [it for it in results if it.failures]
    healthy = [it for it in results if it.row["what_happens"].startswith("healthy")]
    noisy = [it for it in healthy if alarms(it.audit)]
    read = [it for it in results if any(series["points"] for series in every(it.inspect, "series"))]
    print(f"{len(results)} files, {len(read)} with points; {len(noisy)} of {len(healthy)} healthy ones with an alarm; {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
