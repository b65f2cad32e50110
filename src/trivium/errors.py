"""Every error a user can meet: one sentence, the remedy in it, and the exit code of the command line.

Raised anywhere, printed once by ``cli/`` without a traceback. Exit codes are the command line's contract:
1 failed, 2 usage or settings, 3 data (file, line and field named), 4 refused before start, 75 stopped by
itself with a good checkpoint behind it.
"""


class TriviumError(Exception):
    """What happened, with the values, and what to do instead, in one sentence."""

    exit_code = 1


class SettingsError(TriviumError):
    """A flag, recipe field or argument that cannot be used."""

    exit_code = 2


class DataError(TriviumError):
    """A file that cannot be used: missing, empty, damaged, malformed. Names file and line, byte or field."""

    exit_code = 3


class RefusedError(TriviumError):
    """Refused before any work: not enough memory, disk or text for what was asked."""

    exit_code = 4


class StoppedError(TriviumError):
    """A run that stopped by itself (non-finite loss, full disk) and left a good checkpoint."""

    exit_code = 75


def shown(value: object) -> str:
    """A value from a file or a setting as an error quotes it: not more than a few words of it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text):,} characters)"
