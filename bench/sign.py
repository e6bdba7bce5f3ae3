"""What a signature costs, and how much of it is not the RSA operation itself.

    python -m bench.sign [--times N]

A copy of some 30 kB in two parts, as bench/render.py makes it, in English and in Arabic. CPU time of the best of
several rounds; `dkimpy` is the usual way.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor

import dkim as dkimpy
from bench.render import TEXT, copy_for, cost, laid_out
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broadcaster import message
from broadcaster.dkim import Draft, Key, Seal
from broadcaster.message import Mail

NOW = 1_767_225_600


def rate(seal: Seal, drafts: list[Draft], threads: int) -> float:
    """Signatures a second."""
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(seal.sign, drafts[:threads]))  # the threads are there
        began = time.perf_counter()
        list(pool.map(seal.sign, drafts, chunksize=10))
        return len(drafts) / (time.perf_counter() - began)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--times", type=int, default=400, help="copies in each round")
    times = options.parse_args().times
    pem = generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    seal = Seal("water.example", "news", Key.parse(pem))
    print(f"{'':10}{'kB':>8}{'beside RSA':>14}{'RSA':>14}{'whole':>14}{'dkimpy':>14}   µs")
    for language in TEXT:
        program = message.compile(laid_out(language), Mail("Water for All", "news@water.example"))
        octets = program.render(copy_for(language))
        draft = seal.draft(octets, NOW)
        signature = seal.sign(draft)

        def beside(octets: bytes = octets, signature: bytes = signature) -> bytes:
            return seal.draft(octets, NOW).sealed(signature)

        def usual(octets: bytes = octets) -> bytes:
            ways = (b"relaxed", b"relaxed")
            return bytes(dkimpy.sign(octets, b"news", b"water.example", pem, canonicalize=ways)) + octets

        figures = (
            len(octets) / 1000,
            cost(beside, times),
            cost(lambda draft=draft: seal.sign(draft), max(times // 4, 5)),  # type: ignore[misc]
            cost(lambda octets=octets: seal.sealed(octets, NOW), max(times // 4, 5)),  # type: ignore[misc]
            cost(usual, max(times // 40, 3)),
        )
        print(f"{language:8}{figures[0]:10.1f}" + "".join(f"{figure:14.1f}" for figure in figures[1:]))
    drafts = [draft] * max(times, 100)
    cores = os.cpu_count() or 1
    one, all_ = rate(seal, drafts, 1), rate(seal, drafts, cores)
    print(f"\n{one:,.0f} signatures a second in one thread, {all_:,.0f} in {cores}: {all_ / one:.2f} times as many")


if __name__ == "__main__":
    main()
