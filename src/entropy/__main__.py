"""``python -m entropy`` is the ``entropy`` command."""

import sys

from entropy.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
