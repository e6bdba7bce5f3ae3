"""The machine of tests/test_machine.py, for as many lives as one likes.

python -m tests.long.machine --examples 5000
"""

from __future__ import annotations

import argparse

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.test_machine import Sending


def main() -> None:
    parser = argparse.ArgumentParser(description="Live through anything, in any order.")
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=20, help="of each, at the most")
    options = parser.parse_args()
    run_state_machine_as_test(
        Sending,
        settings=settings(
            max_examples=options.examples,
            stateful_step_count=options.steps,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
            print_blob=True,
        ),
    )


if __name__ == "__main__":
    main()
