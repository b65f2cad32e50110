"""One file per verb: a typed function, which is ``trivium.verb(...)`` and, through ``cli/``, the command."""
