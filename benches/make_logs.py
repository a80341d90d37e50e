#!/usr/bin/env python3
"""Writes the logs of which `compare.py` measures the reading.

  make_logs.py DIRECTORY [--megabytes 120] [NAME...]

In: a directory. Out: one file per format of about the size asked for. Invariant: the same arguments give the same bytes;
the values fall and wobble as those of a healthy run do, in as many digits as the format prints.
"""
import argparse
import json
import os
import random
import struct
import zlib

BLOCK_BYTES = 32 << 10
LAYERS = 25


def rng():
    return random.Random(7)


def loss_at(step, noise):
    return 2.0 + 8.0 / (1.0 + 0.001 * step) + 0.1 * noise.random()


def jsonl(noise, step):
    row = {"step": step, "loss": loss_at(step, noise), "lr": 3e-4, "grad_norm": 1 + noise.random(), "tokens_per_sec": 51234.5 + noise.random()}
    return json.dumps(row) + "\n"


def wide_row(noise, step):
    row = {"step": step, "loss": loss_at(step, noise)}
    for layer in range(LAYERS):
        row[f"grad_norm/layers.{layer}.mlp.weight"] = 0.5 + noise.random() / (1 + layer)
    return row


def wide_jsonl(noise, step):
    return json.dumps(wide_row(noise, step)) + "\n"


def csv(noise, step):
    row = wide_row(noise, step)
    head = ",".join(row) + "\n" if step == 0 else ""
    return head + ",".join(str(value) if value == step else f"{value:.7g}" for value in row.values()) + "\n"


def nano_gpt(noise, step):
    return f"iter {step}: loss {loss_at(step, noise):.4f}, time {130 + noise.random():.2f}ms, mfu {30 + noise.random():.2f}%\n"


def megatron(noise, step):
    return (
        f" [2024-05-01 12:{step // 60 % 60:02d}:{step % 60:02d}] iteration {step:8d}/  500000 | consumed samples: {step * 512:12d} |"
        f" elapsed time per iteration (ms): {800 + 50 * noise.random():.1f} | learning rate: 3.000000E-04 |"
        f" global batch size:   512 | lm loss: {loss_at(step, noise):.6E} | loss scale: 1.0 | grad norm: {1 + noise.random():.3f} |"
        " number of skipped iterations:   0 | number of nan iterations:   0 |\n"
    )


NOISE = [
    "[rank0]:W0501 12:{s:02d}:{s:02d}.123456 140234 torch/distributed/run.py:779] Setting OMP_NUM_THREADS environment variable\n",
    "2024-05-01 12:{s:02d}:{s:02d},123 INFO data.loader: shard s3://bucket/corpus/part-{n:05d}.jsonl.zst opened by worker {s}\n",
    "  File \"/opt/conda/lib/python3.11/site-packages/torch/nn/modules/module.py\", line {n}, in _call_impl\n",
    "DEBUG:urllib3.connectionpool:https://storage.example.com:443 \"GET /v1/objects/{n} HTTP/1.1\" 200 None\n",
    "NCCL INFO Channel {s:02d}/0 : {s}[{s}] -> {n}[{s}] via P2P/CUMEM/read\n",
    "WARNING: the tokenizer has been loaded from a cache that was written by another version of the library\n",
    "(RayTrainWorker pid={n}) Moving model to device cuda:{s}, waiting for the other workers of the placement group\n",
]


def noisy_nano_gpt(noise, step):
    """A log of which 95 % of the lines are what programs say besides."""
    lines = (noise.choice(NOISE).format(s=noise.randrange(60), n=noise.randrange(99999)) for _ in range(19))
    return "".join(lines) + nano_gpt(noise, step)


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def wandb(noise, step):
    """A record with a row of history, as wandb 0.16 and later write it."""
    items = b"".join(
        field(1, field(2, name.encode()) + field(16, json.dumps(value).encode())) for name, value in wide_row(noise, step).items() if name != "step"
    )
    return field(2, items + field(2, b"\x08" + varint(step)))


def write_wandb(path, n_bytes):
    """The records in blocks of 32 KiB (LevelDB's log format), with the header of the file."""
    noise, step, at = rng(), 0, 7
    with open(path, "wb") as out:
        out.write(b":W&B" + struct.pack("<HB", 0xBEE1, 0))
        while at < n_bytes:
            record, is_first = wandb(noise, step), True
            while record or is_first:
                left = BLOCK_BYTES - at % BLOCK_BYTES
                if left < 7:
                    out.write(bytes(left))
                    at, left = at + left, BLOCK_BYTES
                part, record = record[: left - 7], record[left - 7 :]
                kind = (1 if is_first else 4) if not record else (2 if is_first else 3)
                out.write(struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part)
                at, is_first = at + 7 + len(part), False
            step += 1


LINES = {
    "narrow.jsonl": jsonl,
    "wide.jsonl": wide_jsonl,
    "wide.csv": csv,
    "nanogpt.log": nano_gpt,
    "megatron.log": megatron,
    "noisy.log": noisy_nano_gpt,
}


def write_lines(path, line_of, n_bytes):
    noise, step, at = rng(), 0, 0
    with open(path, "w", encoding="utf-8") as out:
        while at < n_bytes:
            at += out.write(line_of(noise, step))
            step += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("names", nargs="*", help="of the files; all without")
    parser.add_argument("--megabytes", type=float, default=120)
    arguments = parser.parse_args()
    os.makedirs(arguments.directory, exist_ok=True)
    for name in arguments.names or [*LINES, "run-bench.wandb"]:
        path = os.path.join(arguments.directory, name)
        n_bytes = int(arguments.megabytes * 1e6)
        if name.endswith(".wandb"):
            write_wandb(path, n_bytes)
        else:
            write_lines(path, LINES[name], n_bytes)


if __name__ == "__main__":
    main()
