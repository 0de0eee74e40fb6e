"""`python -m node_files`: what a node gets, what has drifted, and what a preview changes.

The one module here that reaches beyond rendering: it hands over to `preview`, which reads settings.
"""

import sys

from preview.command_line import main

if __name__ == "__main__":
    sys.exit(main())
