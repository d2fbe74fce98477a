"""`python -m vqaudio`: the same as the command `vqaudio`."""

import sys

from vqaudio.cli.main import main

sys.exit(main())
