#!/usr/bin/env python3
"""Measures `gradwatch watch` over many runs and prints a table in Markdown.

  watch.py GRADWATCH [--runs 1000] [--series 200] [--dirs 3300] [--appends 200] [--idle-seconds 20]

In: a gradwatch binary. Out: the time from an append to the alarm on standard output (p50, p99, max), the share of a core
that an idle daemon uses, and its memory, with hints of the operating system and by polling alone. Invariant: idle CPU time
is that of /proc/PID/stat over the whole stated time, after the daemon has read all that is there.

Linux only. The runs are written into a new directory under the system's temporary one.
"""
import argparse
import json
import os
import queue
import statistics
import subprocess
import tempfile
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory_mb(pid, field):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    raise SystemExit(f"no {field} of process {pid}")


class Daemon:
    """A running `gradwatch watch` and the lines that it says, with the time of each."""

    def __init__(self, gradwatch, root, flags):
        command = [gradwatch, "watch", "--format", "json", *flags, root]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.lines.put((time.perf_counter(), line))

    def wait_for_alarm(self, run):
        while True:
            at, line = self.lines.get(timeout=60)
            said = json.loads(line)
            if said["run"] == run and said["finding"]["rule"] == "non-finite-loss":
                return at

    def settle(self):
        """Waits until it uses next to nothing, and then past the time in which fresh files are looked at more often."""
        used = cpu_seconds(self.process.pid)
        quiet = 0
        while quiet < 4:
            time.sleep(1)
            now = cpu_seconds(self.process.pid)
            quiet = quiet + 1 if now - used < 0.1 else 0
            used = now
        time.sleep(35)

    def idle_share(self, seconds):
        before, begun = cpu_seconds(self.process.pid), time.perf_counter()
        time.sleep(seconds)
        return (cpu_seconds(self.process.pid) - before) / (time.perf_counter() - begun)

    def end(self):
        self.process.terminate()
        begun = time.perf_counter()
        self.process.wait(timeout=30)
        return time.perf_counter() - begun


def row(step, n_series, loss):
    values = {f"grad_norm/layers.{n}.mlp.weight": round(1.0 + ((step * 7 + n * 13) % 17) / 100, 4) for n in range(n_series)}
    return json.dumps({"step": step, "loss": loss, **values}) + "\n"


def write_runs(root, n_runs, n_series, n_rows=60):
    for run in range(n_runs):
        directory = os.path.join(root, f"run-{run:05}")
        os.makedirs(directory)
        with open(os.path.join(directory, "metrics.jsonl"), "w") as log:
            for step in range(n_rows):
                log.write(row(step, n_series, round(4 / (1 + 0.05 * step) + 0.01 * (step * 7 % 5), 4)))


def latencies(daemon, root, n_runs, n_appends):
    """Each append goes to another run, at once after the last alarm."""
    found = []
    for n in range(n_appends):
        run = f"run-{n % n_runs:05}"
        path = os.path.join(root, run, "metrics.jsonl")
        text = "".join(f'{{"step": {step}, "loss": NaN}}\n' for step in range(60, 70))
        with open(path, "a") as log:
            log.write(text)
            log.flush()
            begun = time.perf_counter()
        found.append(daemon.wait_for_alarm(run) - begun)
    return sorted(found)


def measure(gradwatch, args, name, flags, n_runs, n_series, n_appends):
    with tempfile.TemporaryDirectory() as root:
        write_runs(root, n_runs, n_series)
        begun = time.perf_counter()
        daemon = Daemon(gradwatch, root, flags)
        try:
            daemon.settle()
            read_cpu = cpu_seconds(daemon.process.pid)
            memory = memory_mb(daemon.process.pid, "VmRSS")
            idle = daemon.idle_share(args.idle_seconds)
            found = latencies(daemon, root, n_runs, min(n_appends, n_runs)) if n_appends else []
            ended = daemon.end()
        finally:
            daemon.process.kill()
    ms = [f"{1000 * it:.0f}" for it in (statistics.median(found), found[int(len(found) * 0.99)], found[-1])] if found else ["-"] * 3
    print(
        f"| {n_runs} x {n_series} | {name} | {ms[0]} | {ms[1]} | {ms[2]} | {100 * idle:.2f} % | {memory:.0f} | {read_cpu:.1f} | {ended:.2f} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gradwatch")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--dirs", type=int, default=3300)
    parser.add_argument("--appends", type=int, default=200)
    parser.add_argument("--idle-seconds", type=float, default=20)
    args = parser.parse_args()
    print("| runs x series | hints | p50 ms | p99 ms | max ms | idle, of a core | memory MB | CPU s to read | s to end |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, flags in [("inotify", []), ("polled", ["--poll"])]:
        n_appends = args.appends if not flags else min(args.appends, 20)
        measure(args.gradwatch, args, name, flags, args.runs, args.series, n_appends)
        measure(args.gradwatch, args, name, flags, args.dirs, 3, 0)


if __name__ == "__main__":
    main()
