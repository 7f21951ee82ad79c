"""``python -m worker``: the command line, where no console script is installed."""

from worker.cli import main

main()
