"""``python -m cen``, for places where the ``cen`` script is not on the path."""

import sys

from cen.cli import main

if __name__ == "__main__":
    sys.exit(main())
