"""Signatures made beside the loop: the RSA operation takes longer than all else, and lets go of Python meanwhile.

So a few threads sign what waits for it on every core, while the connections go on with what is signed.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from broadcaster.delivery import Envelope

if TYPE_CHECKING:
    from broadcaster.dkim import Seal


class Sealing:
    """One domain's signatures, by some threads."""

    def __init__(self, seal: Seal, threads: int) -> None:
        self._seal = seal
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="seal")

    async def sealed(self, envelope: Envelope, at: float) -> Envelope:
        """The envelope with its message signed (RFC 6376), at a time (epoch seconds)."""
        draft = self._seal.draft(envelope.message, int(at))
        # what comes before and after is Python's, and would only wait for itself
        signature = await asyncio.get_running_loop().run_in_executor(self._pool, self._seal.sign, draft)
        return envelope._replace(message=draft.sealed(signature))
