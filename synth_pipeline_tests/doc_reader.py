"""Reads the Markdown of this repository for what can be held against the code: links, commands, paths, blocks of code."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import click

from synth_pipeline.cli.entry import program
from synth_pipeline.spec.document import json_schema

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")], key=lambda page: page.as_posix()
)
"""Every page that a person wrote; the tables in benchmarks/results are made by programs."""


def prose_of(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def fences_of(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages; "" is a block that names none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [body for language, body in found if language in languages]


def spans_of(page: Path) -> list[str]:
    """What a page says in code font, outside of blocks."""
    return re.findall(r"`([^`\n]+)`", prose_of(page))


def link_faults(page: Path) -> list[str]:
    """Links of a page that lead to no file, or to no heading of it; addresses on the web are not opened."""
    faults = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists():
            faults.append(f"{link}: no such file")
        elif anchor and anchor not in anchors_of(target):
            faults.append(f"{link}: no such heading")
    return faults


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def commands_of(page: Path) -> list[str]:
    """The command lines of our program on a page, from blocks and from code font."""
    blocks = "\n".join(fences_of(page, "", "console", "bash", "sh", "text"))
    indented = "\n".join(re.findall(r"^ {4}(synth-pipeline .*)$", prose_of(page), re.MULTILINE))
    lines = re.sub(r"\\\n", " ", f"{blocks}\n{indented}").splitlines()
    found = [match.group() for line in lines if (match := re.search(r"(?<![\w./-])synth-pipeline [^#]*", line))]
    return [*found, *(span for span in spans_of(page) if span.startswith("synth-pipeline "))]


def command_fault(text: str) -> str | None:
    """What is wrong with a command line, or None: every word of its path and every option has to be there."""
    command: click.Command = program
    words = shlex.split(text.replace("[", " ").replace("]", " "), posix=False)[1:]
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        found = command.commands.get(words.pop(0))
        if found is None:
            return "no such command"
        command = found
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    missing = [word for word in words if word.startswith("--") and word.split("=")[0] not in options]
    return f"no such option: {', '.join(missing)}" if missing else None


def is_spec_key(path: str) -> bool:
    """Whether a dotted path is a key of the specification, by its JSON Schema."""
    schema = json_schema()
    section = schema
    for part in path.split("."):
        section = section.get("properties", {}).get(part)
        if section is None:
            return False
        options = [section, *section.get("anyOf", []), *section.get("allOf", [])]
        reference = next((option["$ref"] for option in options if "$ref" in option), None)
        section = schema["$defs"][reference.rsplit("/", 1)[1]] if reference else section
    return True


def import_faults(code: str) -> list[str]:
    """Names that a block of Python takes from this package and that are not there.

    Raises:
        SyntaxError: if the block is no Python.
    """
    taken = [
        (node.module, name.name)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("synth_pipeline")
        for name in node.names
    ]
    return [f"{module}.{name}" for module, name in taken if not hasattr(import_module(module), name)]
