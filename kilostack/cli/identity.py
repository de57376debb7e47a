"""`kilostack identity`: new keys for what identity signs and for what it keeps sealed."""

from __future__ import annotations

import argparse
import asyncio
import os

from kilostack.cli import state
from kilostack.cli.failure import Failure
from kilostack.cli.owner import assume, who_typed
from kilostack.cli.program import Program
from kilostack.core.errors import Error
from kilostack.core.settings import Settings
from kilostack.core.vault import WrongMasterKey


def run(args: argparse.Namespace, program: Program) -> int:
    """Do it for the cloud that the arguments mean, running or not."""
    owner = who_typed(os.environ)
    assume(owner)
    settings = state.find(args, owner)
    if settings is None:
        raise Failure("there is no such cloud", "Start one with `kilostack up`.")
    from kilostack.store.schema import DamagedDatabase, WrongSchema

    try:
        print(_rotated(args.action, settings))
    except FileNotFoundError:
        raise Failure("the cloud never ran, and has no keys yet", "Start it with `kilostack up`.") from None
    except (DamagedDatabase, WrongSchema, WrongMasterKey) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}", "Nothing is lost: try again.") from None
    except Error as error:
        raise Failure(error.message, "Nothing is lost: try again.") from None
    return 0


def _rotated(action: str, settings: Settings) -> str:
    from kilostack.assembly.identity_keys import rotate_sealing_key, rotate_signing_key

    if action == "rotate-keys":
        return f"tokens are signed with key {asyncio.run(rotate_signing_key(settings))} from now on"
    # what is changed in a file has one writer at a time
    with state.locked(settings.state_dir):
        return f"{asyncio.run(rotate_sealing_key(settings))} secrets are sealed with a new key"
