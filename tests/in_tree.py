"""In tree: runs a package of another source tree; ``python tests/in_tree.py ROOT PACKAGE ARGUMENT ...``.

The tree's files come first on the path, before installed packages, which may be another tree's; when the package is
found anywhere else, this exits with its location.  It needs only the standard library.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from pathlib import Path


def enter(root: str, package: str) -> None:
    """Make this process use the tree, and check that it does."""
    os.chdir(root)
    sys.path.insert(0, root)
    found = importlib.import_module(package).__file__
    if not found or Path(found).resolve().parents[1] != Path(root).resolve():
        raise SystemExit(f"{package} is imported from {found}, not from {root}")


if __name__ == "__main__":
    root, package, *arguments = sys.argv[1:]
    del sys.path[0]  # the folder of this file
    enter(root, package)
    sys.argv[1:] = arguments
    runpy.run_module(package, run_name="__main__", alter_sys=True)
