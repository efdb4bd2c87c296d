"""Silver by itself: turn what lies in bronze into typed, checked observations.

`python src/pipeline/silver/clean.py --help` names its flags.
"""

import sys

from coinlake.cli import main

if __name__ == "__main__":
    main(["clean", *sys.argv[1:]])
