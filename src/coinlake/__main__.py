"""`python -m coinlake`: the command line."""

from coinlake.cli import main

if __name__ == "__main__":
    main()
