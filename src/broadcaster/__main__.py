"""`python -m broadcaster` is `broadcaster`."""

from broadcaster.cli import main

main()
