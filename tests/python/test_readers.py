"""`gradwatch inspect` against TensorBoard's own reader, on the same files.

Two kinds of files: those that are shipped under fixtures/, and those that tensorboardX and TensorBoard's own record
writer write here. Both readers must find the same tags, the same number of points and the same last values.
"""

import json
import math
import os
import pathlib
import subprocess

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_ndarray
from tensorboardX import SummaryWriter

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("GRADWATCH", str(ROOT / "target" / "release" / "gradwatch"))
FIXTURES = sorted({path.parent for path in (ROOT / "fixtures").rglob("*tfevents*")})


def inspect(path, *, allowed=(0,)):
    done = subprocess.run([BINARY, "inspect", "--format", "json", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode in allowed, done.stderr
    return json.loads(done.stdout)


def ours(path):
    """(points, last step, last value, estimated) by tag, of the only run under a path."""
    (run,) = inspect(path)["runs"]
    assert not [it for it in run["problems"] if not it["note"]], run["problems"]
    rows = run["series"]
    return {it["tag"]: (it["points"], it["last_step"], float(it["last"]), it["estimated"]) for it in rows}


def theirs(path):
    """The same from TensorBoard: scalars of both generations."""
    reader = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0})
    reader.Reload()
    found = {}
    for tag in reader.Tags()["scalars"]:
        points = reader.Scalars(tag)
        found[tag] = (len(points), points[-1].step, points[-1].value)
    for tag in reader.Tags()["tensors"]:
        points = reader.Tensors(tag)
        last = make_ndarray(points[-1].tensor_proto)
        if last.ndim == 0 and last.dtype.kind in "fiu":
            found[tag] = (len(points), points[-1].step, float(last))
    return found, reader


def same(a, b):
    return math.isclose(a, b, rel_tol=1e-7) or (math.isnan(a) and math.isnan(b))


def compare(path):
    mine, (known, reader) = ours(path), theirs(path)
    assert known.keys() <= mine.keys()
    for tag, (points, step, value) in known.items():
        assert mine[tag][:2] == (points, step), tag
        assert same(mine[tag][2], value), (tag, mine[tag], value)
        assert not mine[tag][3], tag
    return mine, reader


@pytest.mark.parametrize("path", FIXTURES, ids=lambda it: str(it.relative_to(ROOT / "fixtures")))
def test_shipped_files_are_read_as_tensorboard_reads_them(path):
    mine, _ = compare(path)
    assert mine


def test_scalars_that_tensorboardx_writes(tmp_path):
    writer = SummaryWriter(str(tmp_path))
    values = [0.1, 3.0e-42, 1e38, float("nan"), float("inf"), float("-inf"), -0.0, 7.0]
    for step, value in enumerate(values):
        writer.add_scalar("train/loss", value, step * 1000)
        writer.add_scalars("norms", {"layer_0": step + 0.5, "layer_1": step + 1.5}, step)
    writer.close()
    found = {}
    for run in inspect(tmp_path)["runs"]:
        for series in run["series"]:
            found.setdefault(series["tag"], series)
    loss = found["train/loss"]
    assert (loss["points"], loss["nonfinite"], loss["last"], loss["last_step"]) == (8, 3, 7.0, 7000)
    for file in tmp_path.glob("events*"):
        only = tmp_path / "copy"
        only.mkdir()
        (only / file.name).write_bytes(file.read_bytes())
        compare(only)


def test_histograms_of_the_first_generation_give_the_exact_norm(tmp_path):
    random = np.random.default_rng(7)
    writer = SummaryWriter(str(tmp_path))
    weights = [random.normal(size=(32, 16)) * scale for scale in (1.0, 2.0, 0.25)]
    for step, values in enumerate(weights):
        writer.add_histogram("weights/dense_3/kernel", values, step)
    writer.close()
    series = ours(tmp_path)["weights/dense_3/kernel"]
    assert series[0] == 3
    assert math.isclose(series[2], float(np.linalg.norm(weights[-1])), rel_tol=1e-9)
    assert not series[3]


def write_events(path, events):
    writer = EventFileWriter(str(path))
    for event in events:
        writer.add_event(event)
    writer.close()


def test_histograms_of_the_second_generation_are_marked_as_estimates(tmp_path):
    values = np.random.default_rng(8).normal(size=4096)
    summary = Summary.FromString(histogram_pb("weights/dense_0/kernel", values).SerializeToString())
    write_events(tmp_path, [Event(step=3, wall_time=1e9, summary=summary)])
    (points, step, norm, is_estimate) = ours(tmp_path)["weights/dense_0/kernel"]
    assert (points, step, is_estimate) == (1, 3, True)
    assert math.isclose(norm, float(np.linalg.norm(values)), rel_tol=0.1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "uint8"])
def test_tensor_scalars_of_every_type(tmp_path, dtype):
    from tensorboard.util.tensor_util import make_tensor_proto

    def event(step):
        value = Summary.Value(tag="train/loss", tensor=make_tensor_proto(np.array(step + 2, dtype=dtype)))
        value.metadata.plugin_data.plugin_name = "scalars"
        value.metadata.data_class = 1
        return Event(step=step, wall_time=1e9 + step, summary=Summary(value=[value]))

    write_events(tmp_path, [event(step) for step in range(5)])
    mine, _ = compare(tmp_path)
    assert mine["train/loss"][:3] == (5, 4, 6.0)


def test_a_file_that_is_cut_anywhere_is_read_as_far_as_it_goes(tmp_path):
    whole = tmp_path / "whole"
    writer = SummaryWriter(str(whole))
    for step in range(20):
        writer.add_scalar("train/loss", 1.0 / (step + 1), step)
    writer.close()
    (file,) = whole.glob("events*")
    content = file.read_bytes()
    for length in range(40, len(content), 37):
        cut = tmp_path / f"cut-{length}"
        cut.mkdir()
        (cut / file.name).write_bytes(content[:length])
        known, _ = theirs(cut)
        runs = inspect(cut, allowed=(0, 3))["runs"]
        mine = {it["tag"]: it["points"] for run in runs for it in run["series"]}
        assert mine == {tag: points for tag, (points, _, _) in known.items()}, length
