#!/usr/bin/env python3
"""Times gradwatch beside its peers, in interleaved rounds of one run, and prints a table in Markdown.

  compare.py GRADWATCH FILE... [--rounds 5] [--literal loss]

In: a gradwatch binary and logs (`make_logs.py` writes some). Out: per file and contender the median CPU time (user and
system), megabytes (1e6 bytes) per CPU second, how many times faster than the peer and than grep, peak resident memory.
Invariant: every contender reads the same file from a warm page cache, and CPU time is compared, not wall time, so that
other work on the machine counts for little.

Peers: RustBoard (package tensorboard-data-server; found by the Python that runs this script) for event files, a plain
Python loop that builds series for JSONL, CSV, `key value` text and (by the package wandb) `.wandb`, and `grep -c` for
text. What is not there is skipped.
Linux only: peak memory and CPU time of RustBoard, which goes on serving after it has loaded, are read from /proc.
"""
import argparse
import csv
import json
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

try:
    import tensorboard_data_server
except ImportError:
    tensorboard_data_server = None

NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
PAIR = re.compile(rf"([A-Za-z][\w ./-]*?)\s*[:= ]\s*({NUMBER})")


def measured(command):
    """CPU seconds and peak megabytes of a command that ends by itself."""
    # Into a file and not to /dev/null, at which grep stops at the first hit.
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def measured_rustboard(path):
    """The same for RustBoard, up to the end of its first load. It reads directories: the file is linked into one."""
    with tempfile.TemporaryDirectory() as logdir:
        os.symlink(os.path.abspath(path), os.path.join(logdir, "events.out.tfevents.1.compare"))
        command = [tensorboard_data_server.server_binary(), "--logdir", logdir, "--port", "0", "--reload", "once", "-v"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "RUST_LOG": "info"})
        try:
            if not any("Finished load cycle" in line for line in process.stderr):
                raise SystemExit("RustBoard ended before it had loaded")
            with open(f"/proc/{process.pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            with open(f"/proc/{process.pid}/status") as status:
                peak = int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) / 1024
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def history_of(path):
    """The rows of a `.wandb` file: blocks of 32 KiB with fragments of records, which the package wandb takes apart."""
    from wandb.proto import wandb_internal_pb2

    with open(path, "rb") as file:
        file.seek(7)
        whole = b""
        while True:
            left = 32768 - file.tell() % 32768
            if left < 7:
                file.seek(left, os.SEEK_CUR)
            header = file.read(7)
            if len(header) < 7:
                return
            _, length, kind = struct.unpack("<IHB", header)
            whole = file.read(length) if kind in (1, 2) else whole + file.read(length)
            if kind in (1, 4):
                record = wandb_internal_pb2.Record.FromString(whole)
                if record.HasField("history"):
                    yield record.history


def series_of(path):
    """What a plain Python script does: every number of every record appended to the series of its key."""
    series = {}

    def add(step, pairs):
        for key, value in pairs:
            series.setdefault(key, []).append((step, float(value)))

    if path.endswith(".wandb"):
        for row in history_of(path):
            values = (("/".join(item.nested_key) or item.key, json.loads(item.value_json)) for item in row.item)
            add(row.step.num, ((k, v) for k, v in values if isinstance(v, (int, float))))
        return sum(map(len, series.values()))
    with open(path, encoding="utf-8", errors="replace") as lines:
        if path.endswith(".jsonl"):
            for line in lines:
                record = json.loads(line)
                add(record.get("step"), ((k, v) for k, v in record.items() if isinstance(v, (int, float))))
        elif path.endswith(".csv"):
            for row in csv.DictReader(lines):
                add(row.get("step"), ((k, v) for k, v in row.items() if v))
        else:
            for number, line in enumerate(lines):
                # Most lines of some logs are noise, in which the search for pairs would go astray.
                if "loss" in line:
                    add(number, PAIR.findall(line))
    return sum(map(len, series.values()))


def contenders(arguments, path):
    """Name and measurement of each contender; the first one is the peer that ratios refer to."""
    is_events = "tfevents" in os.path.basename(path)
    runs = {}
    if is_events and tensorboard_data_server is not None:
        runs["RustBoard, no checksums"] = lambda: measured_rustboard(path)
    elif is_events:
        print("RustBoard skipped: pip install tensorboard-data-server", file=sys.stderr)
    else:
        runs["Python loop that builds series"] = lambda: measured([sys.executable, __file__, "--series", path])
        if shutil.which("grep") and path.endswith((".log", ".txt", ".out")):
            runs[f"grep -c {arguments.literal}"] = lambda: measured(["grep", "-c", arguments.literal, path])
    for name in ("inspect", "audit"):
        command = [arguments.gradwatch, name, path, "--format", "json"]
        runs[f"gradwatch {name}"] = lambda command=command: measured(command)
    return runs


def compare(arguments, path):
    megabytes = os.path.getsize(path) / 1e6
    runs = contenders(arguments, path)
    measured(["cat", path])
    rounds = [{name: run() for name, run in runs.items()} for _ in range(arguments.rounds)]
    cpu = {name: statistics.median(it[name][0] for it in rounds) for name in runs}
    peer = next(iter(runs))
    grep = next((name for name in runs if name.startswith("grep")), None)
    for name in runs:
        peak = max(it[name][1] for it in rounds)
        speed = megabytes / max(cpu[name], 1e-3)
        ratio = cpu[peer] / max(cpu[name], 1e-3)
        of_grep = f"{cpu[name] / max(cpu[grep], 1e-3):.1f}x" if grep else "-"
        label = os.path.basename(path)
        print(f"| {label} | {name} | {cpu[name]:.3f} | {speed:.0f} | {ratio:.1f}x | {of_grep} | {peak:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gradwatch", nargs="?")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--literal", default="loss", help="what grep looks for")
    parser.add_argument("--series", help=argparse.SUPPRESS)
    arguments = parser.parse_intermixed_args()
    if arguments.series:
        print(series_of(arguments.series))
        return
    if not arguments.files:
        parser.error("needs a gradwatch binary and at least one log")
    print("| file | contender | CPU s | MB per CPU s | faster than the first | time of grep's | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in arguments.files:
        compare(arguments, path)


if __name__ == "__main__":
    main()
