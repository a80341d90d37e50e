"""A `.wandb` file that Weights & Biases itself writes, offline, followed while it is written.

The training is a small chain of layers in numpy; its per-layer norms are logged as scalars and its gradients as
`wandb.Histogram`, as `wandb.watch` does it. What was said live must be what `audit` finds afterwards.
"""

import json
import os
import pathlib
import queue
import subprocess
import threading

import numpy as np
import pytest

wandb = pytest.importorskip("wandb")

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("GRADWATCH", str(ROOT / "target" / "release" / "gradwatch"))
N_LAYERS = 8
# Far beyond the seconds after which the writer flushes.
DEADLINE = 120


class Watching:
    def __init__(self, path):
        command = [BINARY, "watch", "--format", "json", str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.notices = queue.Queue()
        self.said = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.notices.put(json.loads(line))

    def wait_for(self, rule):
        while True:
            notice = self.notices.get(timeout=DEADLINE)
            self.said.append(notice)
            if notice["finding"]["rule"] == rule:
                return notice

    def end(self):
        self.process.terminate()
        _, complaints = self.process.communicate(timeout=DEADLINE)
        while not self.notices.empty():
            self.said.append(self.notices.get())
        return complaints


def log_step(run, rng, step, loss):
    row = {"train/loss": loss, "train/learning_rate": 1e-3}
    for layer in range(N_LAYERS):
        gradient = rng.normal(0, 1.0, 500) / (1 + 0.01 * step)
        row[f"train/grad_norm/layers.{layer}.mlp.weight"] = float(np.linalg.norm(gradient))
        row[f"gradients/layers.{layer}.mlp.weight"] = wandb.Histogram(gradient)
    run.log(row, step=step)


def standing(report):
    runs = json.loads(report)["runs"]
    return {
        finding["rule"]
        for run in runs
        for finding in run["findings"]
        if finding["severity"] != "info" and not finding.get("healed") and not finding.get("superseded")
    }


def test_an_offline_run_is_followed_while_it_is_written(tmp_path):
    rng = np.random.default_rng(7)
    watching = Watching(tmp_path)
    settings = wandb.Settings(console="off", x_disable_stats=True, silent=True)
    run = wandb.init(mode="offline", project="live", dir=str(tmp_path), settings=settings)
    try:
        for step in range(120):
            log_step(run, rng, step, 4 / (1 + 0.05 * step) + 0.01 * (step * 7 % 5))
        for step in range(120, 140):
            log_step(run, rng, step, float("nan"))
        # The run goes on: nothing has closed the file.
        alarm = watching.wait_for("non-finite-loss")
        assert alarm["event"] == "alarm"
        assert alarm["finding"]["first_step"] == 120
        log_step(run, rng, 140, float("nan"))
    finally:
        run.finish()
    complaints = watching.end()
    assert not [line for line in complaints.splitlines() if ".wandb" in line], complaints
    audit = subprocess.run([BINARY, "audit", "--format", "json", str(tmp_path)], capture_output=True, text=True, timeout=DEADLINE)
    (of_audit,) = json.loads(audit.stdout)["runs"]
    assert not [it for it in of_audit["problems"] if not it.get("note")], of_audit["problems"]
    last = {}
    for notice in watching.said:
        last[notice["finding"]["rule"]] = notice["event"]
    assert {rule for rule, event in last.items() if event != "resolved"} == standing(audit.stdout)


def test_what_watch_logs_of_a_real_model_is_read_by_layer(tmp_path):
    torch = pytest.importorskip("torch", reason="torch brings several GB of CUDA libraries from PyPI; install it beside wandb to run this")
    torch.manual_seed(7)
    layers = [torch.nn.Linear(16, 16) for _ in range(N_LAYERS)]
    model = torch.nn.Sequential(*[module for layer in layers for module in (layer, torch.nn.Tanh())])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    settings = wandb.Settings(console="off", x_disable_stats=True, silent=True)
    run = wandb.init(mode="offline", project="watched", dir=str(tmp_path), settings=settings)
    try:
        run.watch(model, log="all", log_freq=1)
        inputs = torch.randn(64, 16)
        for step in range(30):
            optimizer.zero_grad()
            loss = ((model(inputs) - inputs) ** 2).mean()
            loss.backward()
            row = {"train/loss": loss.item()}
            for name, parameter in model.named_parameters():
                row[f"grad_norm/{name}"] = parameter.grad.norm().item()
            run.log(row, step=step)
            optimizer.step()
    finally:
        run.finish()
    inspect = subprocess.run([BINARY, "inspect", "--format", "json", str(tmp_path)], capture_output=True, text=True, timeout=DEADLINE)
    (of_run,) = json.loads(inspect.stdout)["runs"]
    assert not [it for it in of_run["problems"] if not it.get("note")], of_run["problems"]
    by_tag = {it["tag"]: it for it in of_run["series"]}
    for place in range(0, 2 * N_LAYERS, 2):
        exact, watched = by_tag[f"grad_norm/{place}.weight"], by_tag[f"gradients/{place}.weight"]
        assert exact["quantity"] == watched["quantity"] == "grad_norm", watched
        assert by_tag[f"parameters/{place}.weight"]["quantity"] == "weight_norm"
        assert exact["layer"] == watched["layer"]
        # A histogram of 64 buckets gives the norm of its tensor up to the width of a bucket.
        assert watched["points"] > 0 and abs(watched["max"] / exact["max"] - 1) < 0.1, (exact, watched)
