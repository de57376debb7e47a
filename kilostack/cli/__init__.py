"""The command line: what a person types to start, look at and stop a cloud."""

import os
import sys

# Behind sudo this is root at work in a checkout that belongs to who typed the command: leave no file of root's there.
if os.geteuid() == 0 and os.environ.get("SUDO_UID", "0") != "0":
    sys.dont_write_bytecode = True
