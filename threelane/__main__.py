"""``python -m threelane``: the command line, where no console script is installed."""

from threelane.interfaces.command.line import main

main()
