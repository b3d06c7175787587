"""`python -m healthcare` is the command `healthcare`."""

import sys

from healthcare.entrypoints.main import main

sys.exit(main())
