"""The command ``trivium``: verbs become commands here; parsing, printing and exit codes, no logic."""

import sys


def main() -> None:
    """The entry point of the ``trivium`` script and of ``python -m trivium``."""
    from trivium.cli.run import run

    sys.exit(run(sys.argv[1:]))
