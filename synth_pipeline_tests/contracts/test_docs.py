"""The pages say what is there: links, commands, make targets, files, variables, blocks of YAML and Python, lists of stages and engines."""

import re
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import get_args

import click
import pytest
import yaml

from benchmarks.matrix import RESULTS, all_results
from benchmarks.table import markdown, with_section
from synth_pipeline.cli.entry import program
from synth_pipeline.orchestration.keys import APPROVAL, ASSET_NAMES
from synth_pipeline.release.bundle import BUNDLE_FILES
from synth_pipeline.release.statement import SEALS
from synth_pipeline.spec import GeneratorKind, Spec
from synth_pipeline_tests.doc_reader import (
    DOCS,
    PAGES,
    ROOT,
    anchors_of,
    command_fault,
    commands_of,
    fences_of,
    import_faults,
    is_spec_key,
    link_faults,
    prose_of,
    spans_of,
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())

LEAST = {
    "dataset": "d",
    "columns": {
        "age": {"kind": "integer", "min": 0, "max": 99},
        "year": {"kind": "integer", "min": 2000, "max": 2030},
        "sex": {"kind": "categorical", "categories": ["Male", "Female"]},
        "income": {"kind": "categorical", "categories": ["<=50K", ">50K"]},
    },
    "privacy": {"epsilon": 1.0, "delta": 1e-6},
}
"""What a piece of a specification on a page is put into: the columns that the pages speak of."""


@cache
def files_of_the_repository() -> tuple[str, ...]:
    rooms = ("synth_pipeline", "synth_pipeline_tests", "benchmarks", "infra", "docs")
    return tuple(f"/{path.relative_to(ROOT).as_posix()}" for room in rooms for path in (ROOT / room).rglob("*"))


def first_cells(page: Path, heading: str) -> list[str]:
    """The first cells of the table whose first column has that heading, without what stands in brackets."""
    text = page.read_text(encoding="utf-8")
    table = text.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [re.sub(r" \(.*\)", "", row.removeprefix("| ").split(" | ", 1)[0]) for row in table]


def code_words(cells: list[str]) -> list[str]:
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


@each_page
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page):
    assert link_faults(page) == []


@each_page
def test_every_command_line_is_one_of_the_program_with_options_that_it_has(page):
    assert [(line, fault) for line in commands_of(page) if (fault := command_fault(line))] == []


@each_page
def test_every_make_target_is_in_the_makefile(page):
    blocks = fences_of(page, "", "console", "bash", "sh")
    lines = [*spans_of(page), *(line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines())]
    asked = {
        word
        for line in lines
        if line.startswith("make ")
        for word in takewhile(re.compile(r"[a-z][a-z-]*").fullmatch, line.split()[1:])
    }
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert asked <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@each_page
def test_every_module_that_is_named_is_a_file(page):
    named = {span for span in spans_of(page) if re.fullmatch(r"[\w/.-]+\.(py|j2|sh)", span)}
    named |= {
        span
        for span in spans_of(page)
        if re.fullmatch(r"(synth_pipeline|synth_pipeline_tests|benchmarks|infra|docs)/[\w/.-]+", span)
    }
    files = files_of_the_repository()
    assert [one for one in named if not any(file.endswith(f"/{one.strip('/')}") for file in files)] == []


@each_page
def test_every_block_of_yaml_is_a_specification_or_a_piece_of_one(page):
    for block in fences_of(page, "yaml"):
        content = yaml.safe_load(block)
        if "ops" in content:  # a configuration of Dagster's launchpad, which journeys/test_approval.py tries
            continue
        content = content.get("attributes", content)
        if not set(content) & set(Spec.model_fields):  # columns
            content = {"columns": content}
        columns = {**LEAST["columns"], **content.pop("columns", {})}
        assert Spec.from_mapping({**LEAST, **content, "columns": columns}).dataset


@each_page
def test_every_block_of_python_parses_and_takes_names_that_are_there(page):
    assert [fault for block in fences_of(page, "python") for fault in import_faults(block)] == []


@pytest.mark.parametrize("index", [DOCS / "adr" / "README.md", DOCS / "proofs" / "README.md"], ids=str)
def test_every_page_of_a_folder_is_in_its_index(index):
    named = set(re.findall(r"\]\(([^)#]+\.md)\)", index.read_text(encoding="utf-8")))
    assert {page.name for page in index.parent.glob("*.md")} - {"README.md"} <= named


def test_every_page_is_linked_from_another():
    linked = {
        (page.parent / name).resolve()
        for page in PAGES
        for name in re.findall(r"\]\(([^)#\s]+)", prose_of(page))
        if not name.startswith("http") and (page.parent / name).resolve() != page
    }
    linked |= {folder / "README.md" for folder in linked if folder.is_dir()}
    on_the_front = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"}  # where a repository's visitor looks by habit
    assert [page.name for page in PAGES if page not in linked and page.name not in on_the_front] == []


def test_every_command_is_named_on_some_page():
    said = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

    def leaves(group: click.Group, path: str) -> list[str]:
        return [
            leaf
            for name, command in group.commands.items()
            for leaf in (leaves(command, f"{path}{name} ") if isinstance(command, click.Group) else [f"{path}{name}"])
        ]

    missing = [
        name
        for name in leaves(program, "")
        if not re.search(rf"(synth-pipeline |`|: |, ){re.escape(name)}(?![\w-])", said) and f"make {name}" not in said
    ]
    assert missing == []


def test_the_variables_of_the_environment_are_those_of_the_deployment_page():
    texts = [
        path.read_text(encoding="utf-8")
        for room in ("synth_pipeline", "infra")
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", ".yaml", ".env"} or path.name == "Dockerfile"
    ]
    read = {name for text in texts for name in re.findall(r"\bSYNTH_PIPELINE_[A-Z0-9_]*[A-Z0-9]\b", text)}
    told = set(re.findall(r"`(SYNTH_PIPELINE_[A-Z0-9_]+)`", (DOCS / "deployment.md").read_text(encoding="utf-8")))
    assert told == read


def test_the_stages_of_the_walk_page_are_the_assets():
    assert code_words(first_cells(DOCS / "walk.md", "stage")) == [*ASSET_NAMES, APPROVAL]


def test_the_files_of_the_walk_page_are_those_of_a_bundle():
    (tree,) = [block for block in fences_of(DOCS / "walk.md", "") if "data.parquet" in block]
    assert set(re.findall(r"^  ([\w.]+)", tree, re.MULTILINE)) == {*BUNDLE_FILES, *SEALS}


@pytest.mark.parametrize("page, heading", [(ROOT / "README.md", "kind"), (DOCS / "walk.md", "engine")], ids=str)
def test_the_engines_of_a_table_are_the_kinds_of_the_specification(page, heading):
    assert set(code_words(first_cells(page, heading))) == {*get_args(GeneratorKind)} - {"auto"}


def test_every_benchmark_and_its_results_are_in_the_list_of_the_benchmarks():
    told = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    programs = [path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name != "__init__.py"]
    results = [f"results/{path.name}" for path in (ROOT / "benchmarks" / "results").iterdir() if path.is_file()]
    made_by_hand = {"results/quick.md"}  # not committed
    assert [name for name in [*programs, *results] if f"`{name}`" not in told and name not in made_by_hand] == []


def test_the_tables_of_the_readme_are_what_the_committed_results_make():
    """As `python -m benchmarks.table --datasets adult,bank --epsilons 1 --readme README.md` writes them."""
    committed = all_results(RESULTS, quick=False)
    shown = {("adult", 1.0), ("bank", 1.0)}
    made = markdown(committed, quick=False, only=lambda dataset, epsilon: (dataset, epsilon) in shown)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_section(readme, made) == readme
    assert (RESULTS / "full.md").read_text(encoding="utf-8").strip() == markdown(committed, quick=False).strip()


def test_a_term_of_the_glossary_is_defined_once():
    terms = first_cells(ROOT / "CONTEXT.md", "term")
    assert len(terms) > 90
    assert sorted(terms) == sorted(set(terms))


@pytest.mark.parametrize(
    "text, fault",
    [
        ("synth-pipeline ledger verify --anchor", None),
        ("synth-pipeline ledger burn", "no such command"),
        ("synth-pipeline plan --spec S --loud", "no such option: --loud"),
        ("synth-pipeline verify BUNDLE --key K [--approver A]", None),
    ],
)
def test_the_reader_of_commands_finds_what_is_missing(text, fault):
    assert command_fault(text) == fault


def test_the_reader_of_keys_finds_what_is_missing():
    assert is_spec_key("privacy.cap.period")
    assert is_spec_key("release.publication.intended_use")
    assert not is_spec_key("privacy.cap.colour")


def test_the_readers_of_pages_find_what_is_missing(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# What *is* `here`?\n\n[a](#what-is-here) [b](#there) [c](gone.md)\n\n`synth-pipeline burn`\n")
    assert anchors_of(page) == {"what-is-here"}
    assert link_faults(page) == ["#there: no such heading", "gone.md: no such file"]
    assert [command_fault(line) for line in commands_of(page)] == ["no such command"]
    assert import_faults("from synth_pipeline import fit, train") == ["synth_pipeline.train"]
