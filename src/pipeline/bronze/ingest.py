"""Bronze by itself: fetch what the lake does not hold yet, and keep it word for word.

`python src/pipeline/bronze/ingest.py --help` names its flags.
"""

import sys

from coinlake.cli import main

if __name__ == "__main__":
    main(["ingest", *sys.argv[1:]])
