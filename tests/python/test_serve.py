"""A running daemon as Prometheus sees it: promtool finds nothing to say about the metrics, and a real server scrapes them.

In: the program, promtool and prometheus (Debian package `prometheus`). Out: numbers as Prometheus stored them, against
the log. Invariant: every wait is for an answer, with a deadline.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("GRADWATCH", str(ROOT / "target/release/gradwatch"))
DEADLINE_S = 90
TOKEN = "0123456789abcdef0123456789abcdef"


def tool(name):
    path = shutil.which(name)
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed")
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package prometheus)")
    return path


def get(url, headers=None):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=10) as answer:
        return answer.read().decode()


def until(what, is_it):
    """Asks again until the answer is as wanted."""
    end = time.monotonic() + DEADLINE_S
    answer = None
    while time.monotonic() < end:
        try:
            answer = what()
        except OSError as error:
            answer = error
        else:
            if is_it(answer):
                return answer
        # Between two looks, so that asking does not take the processor that the answer needs.
        time.sleep(0.1)
    raise AssertionError(f"in {DEADLINE_S} s there was only {answer!r}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """`gradwatch watch --listen` on a directory."""

    def __init__(self, path, *more):
        command = [PROGRAM, "watch", "--poll-every", "0.2", "--listen", "127.0.0.1:0", *more, str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = self.process.stderr.readline()
        self.address = re.search(r"http://(\S+)/", said).group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0


@pytest.fixture(name="runs")
def shipped_runs(tmp_path):
    shutil.copytree(ROOT / "fixtures/runs", tmp_path / "runs")
    odd = tmp_path / "runs" / 'odd "name" \\ é'
    odd.mkdir()
    (odd / "metrics.jsonl").write_text("".join(f'{{"step": {i}, "loss": {4 / (1 + i)}}}\n' for i in range(50)))
    return tmp_path / "runs"


def is_read(text):
    return 'gradwatch_run_last_step{run="vanishing-sigmoid"} 299' in text and "odd" in text


def test_promtool_finds_nothing_to_say(runs):
    promtool = tool("promtool")
    with Daemon(runs) as daemon:
        text = until(lambda: get(f"http://{daemon.address}/metrics"), is_read)
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_real_prometheus_scrapes_it(runs, tmp_path):
    prometheus = tool("prometheus")
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with Daemon(runs, "--listen-token-file", str(token)) as daemon:
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            "scrape_configs:\n"
            "  - job_name: gradwatch\n"
            f"    authorization: {{credentials_file: {token}}}\n"
            f"    static_configs: [{{targets: ['{daemon.address}']}}]\n"
        )
        port = free_port()
        command = [
            prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with open(tmp_path / "prometheus.log", "w", encoding="utf-8") as log, subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT
        ) as server:
            try:
                check_scraped(port)
            finally:
                server.terminate()


def query(port, expression):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    return {
        tuple(sorted((k, v) for k, v in it["metric"].items() if k not in ("instance", "job", "__name__"))): it["value"][1]
        for it in json.loads(get(url))["data"]["result"]
    }


def check_scraped(port):
    steps = until(lambda: query(port, "gradwatch_run_last_step"), lambda it: len(it) == 11)
    assert steps[(("run", "vanishing-sigmoid"),)] == "299"
    assert steps[(("run", 'odd "name" \\ é'),)] == "49"
    sick = query(port, 'gradwatch_run_verdict{verdict="critical"} == 1')
    assert (("run", "nan-bad-data"), ("verdict", "critical")) in sick
    assert query(port, "up") == {(): "1"}
    ages = query(port, "time() - gradwatch_run_last_change_timestamp_seconds")
    assert len(ages) == 11 and all(-5 < float(it) < 3600 for it in ages.values())
    assert float(query(port, "gradwatch_read_bytes_total")[()]) > 100_000
