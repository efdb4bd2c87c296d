"""The whole main job: fetch what is missing, clean it, and conclude.

`python src/pipeline/run_pipeline.py --help` names its flags.
"""

import sys

from coinlake.cli import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
