"""The task of a driver in Python: one step, whose report is printed as a line of JSON.

Runs in the environment of a client, which has nothing of this project.
"""

import json
import os
import sys

GIVEN = os.environ
API = GIVEN["CLIENT_API"]
ADDRESS = GIVEN["SANDBOX_HOST"] + ":" + GIVEN["SANDBOX_PORT"]


def run(steps):
    """Run the step that the command line names."""
    try:
        report = steps[sys.argv[1]]()
    except Exception as error:
        report = {"error": f"{type(error).__name__}: {error}"}
    print("\nREPORT " + json.dumps(report))
