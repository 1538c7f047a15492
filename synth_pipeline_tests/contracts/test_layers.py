"""The direction of dependency (design 4), as import-linter reads it from pyproject.toml."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import synth_pipeline

PACKAGE = Path(synth_pipeline.__file__).parent
SETTINGS = PACKAGE.parent / "pyproject.toml"


def test_every_import_follows_the_layers():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", str(SETTINGS), "--no-cache"]
    found = subprocess.run(command, cwd=SETTINGS.parent, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.relative_to(PACKAGE.parent).as_posix()
)
def test_every_package_says_what_belongs_there_and_what_does_not(path):
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert "Belongs here:" in words
    assert "Does not:" in words
