"""Runs the sandbox by `python -m threelane.sandbox`."""

from threelane.sandbox.cli import app

if __name__ == "__main__":
    app(prog_name="sandbox")
