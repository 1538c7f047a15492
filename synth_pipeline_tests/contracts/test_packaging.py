"""What an installation gets: packages that the code imports are declared and locked, and files that are no code are packed."""

import ast
import re
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DECLARED = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
EXTRAS = [Requirement(line) for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines]
COME_ALONG = {"botocore"}
"""boto3's own lower half, whose exceptions boto3 raises; the two are released together."""
OURS = {"synth_pipeline", "synth_pipeline_tests", "benchmarks", "infra"}


def names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def imported(room: str) -> dict[str, str]:
    """Top-level names that a folder imports from outside, each with a file that does."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            taken = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            taken += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            found |= {name.partition(".")[0]: path.relative_to(ROOT).as_posix() for name in taken}
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names | OURS}


@pytest.mark.parametrize(
    "room, allowed",
    [
        ("synth_pipeline", names(DECLARED)),
        ("infra", names([*DECLARED, *EXTRAS])),
        ("benchmarks", names([*DECLARED, *EXTRAS])),
        ("synth_pipeline_tests", names([*DECLARED, *EXTRAS])),
    ],
)
def test_every_package_that_is_imported_is_declared(room, allowed):
    """A package that only comes along with another one goes when that one lets go of it."""
    owners = packages_distributions()
    undeclared = {
        name: path
        for name, path in imported(room).items()
        if not {canonicalize_name(owner) for owner in owners.get(name, [name])} & (allowed | COME_ALONG)
    }
    assert undeclared == {}


def test_every_declared_package_is_imported_or_is_a_program():
    owners = packages_distributions()
    used = {
        canonicalize_name(owner)
        for name in imported("synth_pipeline") | imported("infra")
        for owner in owners.get(name, [])
    }
    by_name = {
        "dagster-aws": "io and log stores in S3, named in infra/dagster.yaml",
        "dagster-webserver": "`synth-pipeline ui` and `demo --live` start it",
    }
    assert names(DECLARED) - used - set(by_name) == set()


def test_the_lock_file_holds_every_declared_package_in_its_range():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split(";")[0].strip().split("==") for line in lines if re.match(r"[A-Za-z0-9]", line))
    versions = {canonicalize_name(name): version for name, version in locked.items()}
    outside = [
        f"{requirement}: {versions.get(canonicalize_name(requirement.name), 'not locked')}"
        for requirement in [*DECLARED, *EXTRAS]
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert outside == []


def test_every_file_that_is_no_code_is_packed():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    files = [path for path in (ROOT / "synth_pipeline").rglob("*") if path.is_file() and path.suffix != ".py"]
    left_out = [path for path in files if not any(fnmatch(path.name, pattern) for pattern in patterns)]
    assert [path for path in left_out if "__pycache__" not in path.parts] == []


def test_the_package_says_that_it_is_typed_and_is():
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]
    assert (ROOT / "synth_pipeline" / "py.typed").is_file()
