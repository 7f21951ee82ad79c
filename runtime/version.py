"""Version: that of the product and of Python, for ``threelane --version``."""

import sys


def version_line() -> str:
    """Return ``threelane 0.1.0, Python 3.11.2``."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        ours = version("threelane")
    except PackageNotFoundError:
        ours = "of a folder that is not installed"
    return f"threelane {ours}, Python {sys.version.split()[0]}"
