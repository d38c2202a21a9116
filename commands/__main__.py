"""`python -m commands` is `position-state-brain`."""

import sys

from commands import main

sys.exit(main())
