"""Gold by itself: bring conclusions up to what silver holds.

`python src/pipeline/gold/analyze.py --help` names its flags.
"""

import sys

from coinlake.cli import main

if __name__ == "__main__":
    main(["analyze", *sys.argv[1:]])
