"""What `gradwatch simulate` writes, read back by TensorBoard's own reader.

The event files must hold exactly the numbers that `simulate --format json` prints, as 32-bit floats.
"""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("GRADWATCH", str(ROOT / "target" / "release" / "gradwatch"))
NAMES = {
    "weight_norm": "weight_norm/layers.{}.weight",
    "grad_weight": "grad_norm/layers.{}.weight",
    "grad_bias": "grad_norm/layers.{}.bias",
    "activation": "activation_norm/layers.{}",
}


def simulate(*args):
    done = subprocess.run([BINARY, "simulate", *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def scalars(path):
    reader = EventAccumulator(str(path), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: [(point.step, point.value) for point in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def bits(value):
    """A number as the event file holds it; what is beyond 32 bits is infinite."""
    with np.errstate(over="ignore"):
        return np.float32(float(value))


CASES = [
    (["-n", "12", "-w", "0.8", "-b", "1", "--steps", "25"], 25),
    (["-n", "12", "-w", "1.1", "--dtype", "float16"], 40),
    (["-n", "600", "-w", "1.5"], 40),
    (["-n", "6", "--width", "8", "--init", "orthogonal", "--steps", "30", "--learning-rate", "0.05"], 30),
    (["--width", "8,16,4", "--activation", "relu", "--init", "he", "--bias-sd", "0.1"], 40),
]


@pytest.mark.parametrize(("args", "steps"), CASES, ids=[" ".join(args) for args, _ in CASES])
def test_event_files_hold_what_is_printed(tmp_path, args, steps):
    target = tmp_path / "run"
    printed = json.loads(simulate(*args, "--out", str(target), "--format", "json"))
    written = scalars(target)
    assert len(written) == 3 + 5 * len(printed["layers"])
    for points in written.values():
        assert [step for step, _ in points] == list(range(steps))
    for layer in printed["layers"]:
        for field, tag in NAMES.items():
            value = np.float32(written[tag.format(layer["k"])][-1][1])
            assert value == bits(layer[field]) or (np.isnan(value) and np.isnan(bits(layer[field]))), (layer["k"], field)


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    files = []
    for name in ("a", "b"):
        simulate("--width", "8", "-n", "4", "--seed", "7", "--out", str(tmp_path / name))
        (file,) = (tmp_path / name).iterdir()
        files.append(file.read_bytes())
    assert files[0] == files[1]
