"""The demo's keys, so that its release is signed, and what to do with that release next.

Belongs here: words and commands. Does not: keys (release.keys), or where a home keeps them (integrations.signing).
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from synth_pipeline.integrations.stores import Home


def make_demo_keys(home: "Home") -> None:
    """Make a requester's and an approver's key in the home where there are none, and say so in one line.

    Raises:
        SigningError: if the home cannot be written.
    """
    from synth_pipeline.integrations.signing import APPROVER, KEYS_FOLDER, REQUESTER, make_home_key

    made = [who for who in (REQUESTER, APPROVER) if make_home_key(home.make().folder, who)]
    if made:
        files = " and ".join(f"{who}.key" for who in made)
        folder = home.folder / KEYS_FOLDER
        click.echo(
            f"keys: made {files} in {folder}; a demo alone keeps an approver's key beside a requester's", err=True
        )


def next_steps(release: object, home: "Home") -> dict[str, str]:
    """What to run on the demo's release next, by name; nothing for one in a bucket, which is fetched first."""
    from synth_pipeline.integrations.signing import signing_key
    from synth_pipeline.release.keys import public_path

    if not isinstance(release, Path):
        return {}
    bundle, key = shlex.quote(str(release)), shlex.quote(str(public_path(signing_key(home.folder))))
    return {
        "verify": f"synth-pipeline verify {bundle} --key {key}",
        "approve": approve_command(release, home),
    }


def approve_command(release: Path, home: "Home") -> str:
    """How the demo's second person approves a release."""
    from synth_pipeline.integrations.signing import APPROVER, key_files

    key, passphrase = (shlex.quote(str(path)) for path in key_files(home.folder, APPROVER))
    name, place = f"{release.parent.name}/{release.name}", shlex.quote(str(home.folder))
    words = f'--passphrase-file {passphrase} --purpose "to try it out" --home {place}'
    return f"synth-pipeline approve {name} --key {key} {words}"


def render_steps(console: "Console", steps: dict[str, str]) -> None:
    """Print them, one a line."""
    if steps:
        console.print("\nNext, with what lies here:")
    for name, command in steps.items():
        console.print(f"{name:<8}  {command}", soft_wrap=True)
