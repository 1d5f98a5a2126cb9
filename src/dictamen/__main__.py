"""`python -m dictamen`."""

from dictamen.cli import main

main()
