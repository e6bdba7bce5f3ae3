"""Returned mail that was mangled at random, for as long as one likes: no defect, no bad notice, and none takes long.

    python -m tests.long.returned --seconds 600

The reports of the tests are cut, doubled, shuffled, recoded and sprinkled. With `--atheris`, where that is installed,
what is tried follows what the code has not done yet. A message that fails is written to a file, named by its digest.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from broadcaster.returns import REASONS, understand
from tests.lab import dialects
from tests.lab.returned import CASES

REPORTS = [message.encode() for message, _ in (*CASES.values(), *dialects.CASES.values())]
PIECES = [
    b"\n", b"\r", b"\r\n", b"\0", b" " * 200, b"<" * 50, b"a@", b"--b/1", b"--b/1--", b"=?utf-8?q?", b"?=",
    b"\xff\xfe", b"Content-Type: multipart/mixed; boundary=b/1\n\n", b"Content-Type: message/rfc822\n\n",
    b"550 5.1.1 ", b">>> DATA\n", b"<<< 550 ", b"Final-Recipient: rfc822;", b"Action: ", b"begin 644 x\n", b"\x1b$B",
    b"Content-Transfer-Encoding: base64\n", b"; charset=utf-7", b"(expanded from <", b"leave-", b"+" * 40, b"{\"a\":",
    b"Subject: ", b"\\x{110000}",
]  # fmt: skip
CHARSETS = ("utf-16", "utf-7", "iso2022_jp", "cp500", "utf-32", "hz")
LIMIT = 2.0  # seconds of a message


def mangled(dice: random.Random) -> bytes:
    """A report that something happened to, a few times."""
    message = dice.choice(REPORTS)
    for _ in range(dice.randint(1, 8)):
        lines = message.split(b"\n")
        at, to = sorted((dice.randint(0, len(lines)), dice.randint(0, len(lines))))
        match dice.randrange(8):
            case 0:
                message = b"\n".join(lines[:at] + lines[to:])
            case 1:
                message = b"\n".join(lines[:to] + lines[at:])
            case 2:
                message = b"\n".join(lines[:at] + dice.sample(lines[at:to], to - at) + lines[to:])
            case 3:
                place = dice.randint(0, len(message))
                message = message[:place] + dice.choice(PIECES) * dice.choice((1, 1, 2, 500)) + message[place:]
            case 4:
                message = message.decode("latin-1").encode(dice.choice(CHARSETS), "replace")
            case 5:
                message += dice.choice(REPORTS)
            case 6:
                octets = bytearray(message)
                for _ in range(dice.randint(1, 20)):
                    if octets:
                        octets[dice.randrange(len(octets))] = dice.randrange(256)
                message = bytes(octets)
            case _:
                message = b"\n".join([*lines[:at], dice.randbytes(dice.randint(0, 200)), *lines[at:]])
    return message[:500_000]


def held(message: bytes) -> None:
    """What is true of whatever is read."""
    start = time.process_time()
    result = understand(message)
    taken = time.process_time() - start
    assert taken < LIMIT, f"{taken:.1f} seconds"
    assert len(result.notices) <= 200
    for notice in result.notices:
        assert notice.reason in REASONS, notice
        for text in (notice.recipient, notice.status, notice.words, *notice.also):
            assert not text or text.isprintable(), notice
            assert len(text) <= 500, notice


def wander(seconds: float, seed: int) -> int:
    """Mangle at random until the time is over. How many were tried."""
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < end:
        message = mangled(dice)
        tried += 1
        try:
            held(message)
        except Exception as defect:
            place = Path(f"returned-{sha256(message).hexdigest()[:12]}.eml")
            place.write_bytes(message)
            raise SystemExit(f"{defect!r}: {place}") from defect
    return tried


def follow(seconds: float) -> None:
    """The same, led by coverage."""
    atheris = importlib.import_module("atheris")
    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as seeds:
        for number, report in enumerate(REPORTS):
            (Path(seeds) / str(number)).write_bytes(report)
        atheris.Setup([sys.argv[0], f"-max_total_time={int(seconds)}", "-max_len=20000", seeds], held)
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description="Read mangled mail.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--atheris", action="store_true", help="led by coverage; has to be installed")
    options = parser.parse_args()
    if options.atheris:
        follow(options.seconds)
    else:
        print(f"{wander(options.seconds, options.seed):,} messages, no defect")  # noqa: T201


if __name__ == "__main__":
    main()
