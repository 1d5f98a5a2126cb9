"""The command line. Each verb lives in a file of its own and imports what it needs only when it runs."""

from dictamen.cli.main import main

__all__ = ["main"]
