"""The direction of dependency (design 4), as import-linter reads it from pyproject.toml."""

import ast
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import synth_pipeline

PACKAGE = Path(synth_pipeline.__file__).parent
SETTINGS = PACKAGE.parent / "pyproject.toml"


def test_every_import_follows_the_layers(monkeypatch, capsys):
    monkeypatch.chdir(SETTINGS.parent)
    code = lint_imports(config_filename=str(SETTINGS), no_cache=True)
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.relative_to(PACKAGE.parent).as_posix()
)
def test_every_package_says_what_belongs_there_and_what_does_not(path):
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert "Belongs here:" in words
    assert "Does not:" in words
