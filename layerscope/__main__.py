"""`python -m layerscope`."""

import sys

from layerscope.cli import main

sys.exit(main())
