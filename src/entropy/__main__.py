"""``python -m entropy`` is the ``entropy`` command."""

from entropy.cli.main import main

if __name__ == "__main__":
    main()
