"""`gradwatch watch` on a terminal: a table of the runs below the alarms.

In: the program on a pseudo-terminal. Out: what a person sees, by a small terminal of our own that knows only the escapes
the program may use, and fails at any other. Invariant: every wait is for something on the screen, with a deadline.
"""

import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("GRADWATCH", str(ROOT / "target/release/gradwatch"))
DEADLINE_S = 60
ESCAPE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")


class Terminal:
    """Lines, a cursor, and six escapes."""

    def __init__(self, columns):
        self.columns = columns
        self.lines = [""]
        self.row = 0
        self.column = 0
        self.wraps = True
        self.pending = ""

    def feed(self, text):
        text = self.pending + text
        self.pending = ""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = ESCAPE.match(text, at)
                if found is None:
                    self.pending = text[at:]
                    assert len(self.pending) < 16, f"an unknown escape: {self.pending!r}"
                    return
                self.escape(*found.groups())
                at = found.end()
                continue
            self.put(text[at])
            at += 1

    def escape(self, private, numbers, name):
        if name == "m" and not private:
            return
        if private and name in "hl" and numbers in ("7", "2026"):
            self.wraps = name == "h" if numbers == "7" else self.wraps
        elif name == "F":
            self.row -= int(numbers)
            self.column = 0
            assert self.row >= 0, "the cursor left the screen"
        elif name == "K" and numbers in ("", "0"):
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif name == "J" and numbers in ("", "0"):
            del self.lines[self.row + 1 :]
            self.lines[self.row] = self.lines[self.row][: self.column]
        else:
            raise AssertionError(f"an unknown escape: {private}{numbers}{name}")

    def put(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        else:
            if self.column >= self.columns:
                if not self.wraps:
                    return
                self.put("\r")
                self.put("\n")
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1


class Watching:
    """The program on a pseudo-terminal."""

    def __init__(self, path, columns=100, lines=30, term="xterm-256color"):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {**os.environ, "TERM": term}
        environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [PROGRAM, "watch", "--poll-every", "0.2", str(path)], stdin=slave, stdout=slave, stderr=slave, env=environment
        )
        os.close(slave)
        self.terminal = Terminal(columns)
        self.bytes = b""

    def until(self, is_it):
        end = time.monotonic() + DEADLINE_S
        while not is_it(self.terminal.lines):
            left = end - time.monotonic()
            assert left > 0, "the screen stays at:\n" + "\n".join(self.terminal.lines)
            if select.select([self.master], [], [], left)[0]:
                self.bytes += os.read(self.master, 65536)
                text = self.bytes.decode("utf-8", errors="ignore")
                self.terminal.feed(text)
                self.bytes = b""
        return self.terminal.lines

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        os.close(self.master)
        return status


def rows(steps, loss=lambda step: 4 / (1 + 0.05 * step)):
    return "".join(json.dumps({"step": step, "train/loss": loss(step)}) + "\n" for step in steps)


def append(path, text):
    with open(path, "a", encoding="utf-8") as log:
        log.write(text)


def lines_with(lines, *words):
    return [it for it in lines if all(word in it for word in words)]


def test_the_table_stays_below_the_alarms(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        append(tmp_path / name / "metrics.jsonl", rows(range(60)))
    watching = Watching(tmp_path)
    watching.until(lambda it: lines_with(it, "healthy", "one", " 59 ") and lines_with(it, "healthy", "two", " 59 "))
    append(tmp_path / "two" / "metrics.jsonl", rows(range(60, 70)))
    lines = watching.until(lambda it: lines_with(it, "two", " 69 "))
    assert len(lines_with(lines, "verdict", "worst finding")) == 1, "one table, not two"
    append(tmp_path / "one" / "metrics.jsonl", rows(range(60, 70), lambda _: float("nan")))
    lines = watching.until(lambda it: lines_with(it, "critical", "one", "69", "!", "non-finite-loss since step 60"))
    alarm = lines.index(lines_with(lines, "one: non-finite-loss")[0])
    head = lines.index(lines_with(lines, "verdict", "worst finding")[0])
    assert alarm < head, "the alarm stands above the table"
    assert lines[head + 1].startswith("critical one"), "the worst run comes first"
    assert len(lines_with(lines, "verdict", "worst finding")) == 1
    assert len(lines_with(lines, "healthy", "two")) == 1
    # A complaint goes to the same terminal; the table steps aside for it.
    watching.process.send_signal(signal.SIGHUP)
    watching.until(lambda it: lines_with(it, "rules and settings were read again"))
    append(tmp_path / "two" / "metrics.jsonl", rows(range(70, 75)))
    lines = watching.until(lambda it: lines_with(it, "two", " 74 ") and lines_with(it, "critical", "one", " 69 "))
    assert len(lines_with(lines, "verdict", "worst finding")) == 1, lines
    said = lines.index(lines_with(lines, "rules and settings were read again")[0])
    assert said < lines.index(lines_with(lines, "verdict", "worst finding")[0]), lines
    assert watching.end() == 0


@pytest.mark.parametrize("columns", [30, 50, 80])
def test_it_fits_the_terminal(tmp_path, columns):
    name = "a-name-that-is-far-too-long-for-any-of-these-terminals-日本語-" + "x" * 80
    (tmp_path / name).mkdir()
    append(tmp_path / name / "metrics.jsonl", rows(range(60)))
    watching = Watching(tmp_path, columns=columns)
    lines = watching.until(lambda it: lines_with(it, "healthy", "59"))
    assert all(len(it) <= columns for it in lines)
    assert len([it for it in lines if it]) == 2, lines
    assert watching.end() == 0


def test_a_terminal_that_cannot_move_gets_lines(tmp_path):
    append(tmp_path / "metrics.jsonl", rows(range(60)) + rows(range(60, 70), lambda _: float("nan")))
    watching = Watching(tmp_path, term="dumb")
    lines = watching.until(lambda it: lines_with(it, "non-finite-loss"))
    assert not lines_with(lines, "worst finding")
    assert watching.end() == 0
