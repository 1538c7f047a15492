"""The conformity pages name commands, files, keys, assets, checks and attacks; each has to exist in the registry that the code uses."""

import re
from pathlib import Path

import pytest

from synth_pipeline.audit.attack.wording import ATTACK_NAMES
from synth_pipeline.orchestration import keys
from synth_pipeline.orchestration.code_location import build_defs
from synth_pipeline.release.bundle import BUNDLE_FILES
from synth_pipeline.release.card import card
from synth_pipeline.release.certificate import claim
from synth_pipeline.release.croissant import croissant
from synth_pipeline.release.schema import released_schema
from synth_pipeline.release.statement import SEALS
from synth_pipeline_tests.dagster_example import make_place
from synth_pipeline_tests.described_release import described_facts
from synth_pipeline_tests.doc_reader import DOCS, ROOT, command_fault, is_spec_key

PAGES = sorted((DOCS / "conformity").glob("*.md"))
CELL_WORDS = {"kind: identifier", "on_outside", "--anchor", "disjoint", "blocks", "<ds>"}
"""Words of the specification or the command line that stand beside their key or command."""


def rows_of(page: Path) -> list[str]:
    return [
        line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|") and "---" not in line
    ]


def terms_of(page: Path) -> list[str]:
    return [term for row in rows_of(page) for term in re.findall(r"`([^`]+)`", row)]


def has_key(content: object, path: str) -> bool:
    for part in path.split("."):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    facts = described_facts()
    data = tmp_path_factory.mktemp("conformity") / "data.parquet"
    data.write_bytes(b"")
    schema = released_schema(facts, dict.fromkeys(facts.spec.columns, "int64"))
    return claim(facts), card(facts), croissant(facts, schema, data)


@pytest.fixture(scope="module")
def dagster(tmp_path_factory):
    """Names of the assets and of the checks of a dataset with everything that a specification can ask for."""
    place = make_place(
        tmp_path_factory.mktemp("conformity"),
        drift={"epsilon": 0.1},
        benchmark={"target": "insured", "publish": {"epsilon": 0.1}},
    )
    definitions = build_defs(home=place.home.folder, own=place.own)
    assets = {key.path[-1] for key in definitions.resolve_all_asset_keys()}
    checks = {key.name for key in definitions.resolve_asset_graph().asset_check_keys}
    return assets, checks


def test_the_pages_are_these():
    assert [page.name for page in PAGES] == ["README.md", "eu_ai_act.md", "gdpr.md", "nist_sp_800_226.md"]
    assert all(len(rows_of(page)) > 5 for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_in_a_table_exists(page, described, dagster):
    (claimed, carded, described_by), (assets, checks) = described, dagster
    files = {*BUNDLE_FILES, *SEALS}
    faults = []
    for term in terms_of(page):
        if term.startswith("synth-pipeline "):
            fault = command_fault(term)
        elif term.startswith("<ds>/"):
            fault = None if term.removeprefix("<ds>/") in assets else "no such asset"
        elif term.startswith("predicate."):
            fault = None if has_key(claimed, term) else "no such key in certificate.json"
        elif term.startswith("deployment."):
            fault = None if has_key(carded, term) else "no such key in card.json"
        elif term.startswith("rai:"):
            fault = None if term in described_by else "no such key in croissant.json"
        elif "/" in term:
            fault = None if (ROOT / term).exists() else "no such path in the repository"
        else:
            known = term in files | checks | set(ATTACK_NAMES) | CELL_WORDS
            fault = (
                None
                if known or is_spec_key(term)
                else "neither a file of a bundle, a check, an attack nor a key of a specification"
            )
        if fault is not None:
            faults.append(f"`{term}`: {fault}")
    assert faults == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.stem)
def test_every_row_says_how_to_check_it_and_what_it_does_not_show(page):
    for row in rows_of(page):
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) in (4, 5), row
        assert all(cells), row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_says_that_it_is_no_legal_advice_and_no_certificate(page):
    text = page.read_text(encoding="utf-8")
    assert "no legal advice" in text.lower() or "(README.md)" in text
    assert not re.search(r"\b(compliant|guarantees compliance|fully anonymous|ensures compliance)\b", text)


def test_every_attack_is_named_under_a_criterion():
    gdpr = terms_of(DOCS / "conformity" / "gdpr.md")
    assert set(ATTACK_NAMES) <= set(gdpr)


def test_every_asset_that_answers_a_requirement_is_one_of_the_walk_or_the_approval():
    named = {term.removeprefix("<ds>/") for page in PAGES for term in terms_of(page) if term.startswith("<ds>/")}
    assert named <= {*keys.ASSET_NAMES, "approval"}
