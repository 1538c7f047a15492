"""Approval without a person: each condition that fails leaves a candidate and is named; nothing but released facts decides."""

import ast
import inspect
import json
from copy import deepcopy
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from synth_pipeline.benchmark.published import PublishedScore
from synth_pipeline.integrations.approvals import decide, find_release, note_expiry, standing
from synth_pipeline.orchestration import automatic_approval
from synth_pipeline.orchestration.automatic_approval import AUTOMATIC, approve_without_a_person, judge, what_follows
from synth_pipeline.privacy.ledger import open_ledger
from synth_pipeline.release.approval import LONGEST_WORDS, Wish
from synth_pipeline.release.origin import score_facts
from synth_pipeline.spec.sections import Floors
from synth_pipeline_tests.approval_example import NOW, make_world
from synth_pipeline_tests.released_example import example_spec
from synth_pipeline_tests.signed_example import PASSPHRASE

FLOOR = 0.6
SCORE = PublishedScore("insured", 800.0, 200.0, 5.0, ())
AUDIT = {
    "claimedEpsilon": 1.0,
    "claimedDelta": 1e-6,
    "lowerBound": 0.7,
    "confidence": 0.95,
    "method": "gaussian",
    "runs": 10_000,
    "canary": "an unusual person",
    "findings": [],
    "contradicts": False,
    "summary": "maxent: not contradicted; ε ≥ 0.70 shown (95%, gaussian, 10,000 runs) of ε ≤ 1 claimed; no finding",
}
FACTS = {"audit": AUDIT, "extra": score_facts(SCORE)}
NAME = "clinic/a-1"


def automatic_spec(floor: float = FLOOR, approval: str = "auto", **release):
    return example_spec(
        benchmark={"target": "insured", "task": "classification", "publish": {"epsilon": 0.2}},
        release={"approval": approval, "floors": {"accuracy": floor}, **release},
    )


def approval_of(world):
    return standing(world.home, find_release(world.home, NAME)).approval


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A home whose approver's key can be opened, with a release that everything holds for."""
    for name in ("KEY", "PASSPHRASE_FILE", "PASSPHRASE"):
        monkeypatch.delenv(f"SYNTH_PIPELINE_APPROVER_{name}", raising=False)
    made = make_world(tmp_path / "home")
    passphrase = made.home.folder / "keys" / "approver.passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text(PASSPHRASE)
    made.add_release("a", spec=automatic_spec(), **FACTS)
    return made


def asked(world, spec=None, name=NAME) -> str:
    """What comes of asking; the chain holds, whatever it is."""
    line = approve_without_a_person(world.home, spec or automatic_spec(), name)
    assert "\n" not in line
    assert open_ledger(world.home.ledger).verify().is_intact
    return line


def state(world, name=NAME) -> str:
    return standing(world.home, find_release(world.home, name)).state


def decisions(world) -> list[dict[str, object]]:
    return [entry.body for entry in open_ledger(world.home.ledger).history("clinic") if entry.kind == "record"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that everything holds for."""
    world = make_world(tmp_path_factory.mktemp("judged") / "home")
    return json.loads(json.dumps(world.add_release("a", spec=automatic_spec(), **FACTS).certificate))


def test_a_release_that_everything_holds_for_is_approved_and_the_statement_says_how(world):
    line = asked(world)
    assert line.startswith(f"approved automatically by key {world.name_of('approver')}: ")
    assert "floor 0.6 reached" in line
    approval = standing(world.home, find_release(world.home, NAME)).approval
    assert approval.words == f"{AUTOMATIC}; for: any use that its datasheet and certificate allow"
    for said in ("none that blocks failed", "not contradicted", "accuracy 0.800 [0.7", "floor 0.6", "nobody looked at"):
        assert said in approval.conditions
    assert approval.expires is None
    assert "was changed since" not in approval.conditions


def test_an_automatic_approval_ends_by_itself_where_the_specification_says_after_how_many_days(world):
    spec = automatic_spec(approval_days=30)
    world.add_release("b", spec=spec, **FACTS)
    today = datetime.now(UTC).date()
    line = asked(world, spec, "clinic/b-1")
    release = find_release(world.home, "clinic/b-1")
    last = standing(world.home, release).approval.expires
    assert today + timedelta(days=30) <= last <= today + timedelta(days=31)  # it may have become tomorrow meanwhile
    assert f", until {last} (UTC): " in line
    over = datetime.combine(last, time(), UTC) + timedelta(days=1)
    assert standing(world.home, release, now=over - timedelta(seconds=1)).state == "approved"
    assert standing(world.home, release, now=over).state == "expired"


def test_an_automatic_approval_that_is_over_is_not_given_once_more(world):
    spec = automatic_spec(approval_days=1)
    asked(world, spec)
    release, later = find_release(world.home, NAME), datetime.now(UTC) + timedelta(days=3)
    assert note_expiry(world.home, release, approval_of(world), now=later)  # the chain's clock is there from now on
    kept = decisions(world)
    assert asked(world, spec).startswith("expired: its approval held until ")
    assert decisions(world) == kept


def test_a_statement_under_another_specification_than_the_releases_says_so(world):
    asked(world, automatic_spec(0.5))
    conditions = approval_of(world).conditions
    assert "floor 0.5 reached" in conditions
    assert "the specification was changed since this release was made" in conditions
    assert conditions.endswith("the internal report with its scores and attacks")


def test_asked_again_it_is_found_approved_and_nothing_is_signed(world):
    first, kept = asked(world), decisions(world)
    assert asked(world) == first
    assert decisions(world) == kept
    assert len(kept) == 1


def test_the_purpose_is_the_owners_where_it_is_stated(world):
    asked(world, automatic_spec(publication={"intended_use": "teaching\nof nurses " + "x" * LONGEST_WORDS}))
    words = standing(world.home, find_release(world.home, NAME)).approval.words
    assert words.startswith(f"{AUTOMATIC}; for: teaching of nurses x")
    assert len(words) == LONGEST_WORDS


def test_warnings_are_named_and_many_do_not_make_the_statement_too_long(certificate):
    changed = deepcopy(certificate)
    changed["predicate"]["validation"]["warnings"] = [f"fidelity of column\u00a0{number}" for number in range(300)]
    held = judge(changed, Floors(accuracy=FLOOR)).held
    assert any("300 warning(s): fidelity of column 0, fidelity of column 1" in words for words in held)
    assert sum(map(len, held)) < LONGEST_WORDS - 250


FAULTS = [
    ("approval/required", "manual", "its certificate asks for a person"),
    ("validation/blockingFailures", ["age_range"], "blocking checks failed: age_range"),
    ("validation/expectations", 0, "nothing of it was checked"),
    ("audit", "not audited", "it was not audited"),
    ("audit/contradicts", True, "its audit contradicts its guarantee"),
    ("extra", {}, "no published score of its table"),
    ("extra", score_facts(PublishedScore("insured", 6.0, 2.0, 5.0, ())), "too few held-out people"),
    ("extra", score_facts(PublishedScore("insured", 610.0, 390.0, 5.0, ())), "floor 0.6 not reached"),
]


@pytest.mark.parametrize("path, value, words", FAULTS, ids=[words for _, _, words in FAULTS])
def test_each_condition_that_fails_is_named_and_none_makes_up_for_it(certificate, path, value, words):
    assert judge(certificate, Floors(accuracy=FLOOR)).failed == ()
    changed = deepcopy(certificate)
    *above, last = path.split("/")
    inner = changed["predicate"]
    for name in above:
        inner = inner[name]
    inner[last] = value
    [failed] = judge(changed, Floors(accuracy=FLOOR)).failed
    assert words in failed


def test_without_floors_nothing_is_reached(certificate):
    assert judge(certificate, None).failed == ("no floors are given (release.floors)",)


def test_the_score_is_what_its_counts_say_and_not_what_is_written_beside_them(certificate):
    changed = deepcopy(certificate)
    changed["predicate"]["extra"] = score_facts(PublishedScore("insured", 500.0, 500.0, 5.0, ()))
    changed["predicate"]["extra"]["publishedScore"] |= {"accuracy": 0.99, "interval": [0.98, 1.0]}
    assert judge(changed, Floors(accuracy=FLOOR)).failed


@pytest.mark.parametrize(
    "facts, words",
    [
        ({"extra": {}}, "no published score of its table"),
        ({"audit": None}, "it was not audited"),
        ({"spec": automatic_spec(approval="manual")}, "its certificate asks for a person"),
        ({"audit": None, "extra": {}}, "it was not audited; it states no published score"),
        ({"is_signed": False}, "is not signed"),
    ],
)
def test_a_release_of_which_something_does_not_hold_stays_a_candidate(world, facts, words):
    world.add_release("b", **{"spec": automatic_spec(), **FACTS, **facts})
    line = asked(world, name="clinic/b-1")
    assert line.startswith("candidate: not approved automatically: ")
    assert words in line
    assert state(world, "clinic/b-1") == "candidate"
    assert decisions(world) == []


def test_a_floor_of_the_specification_that_is_not_reached_leaves_a_candidate(world):
    assert "floor 0.9 not reached" in asked(world, automatic_spec(0.9))
    assert state(world) == "candidate"


def test_without_a_key_it_stays_a_candidate(world):
    (world.home.folder / "keys" / "approver.key").unlink()
    assert "no key to approve with; name one in $SYNTH_PIPELINE_APPROVER_KEY" in asked(world)
    assert state(world) == "candidate"


def test_a_passphrase_that_does_not_open_the_key_leaves_a_candidate_and_is_not_told(world):
    (world.home.folder / "keys" / "approver.passphrase").write_text("of another key")
    line = asked(world)
    assert line.startswith("candidate: not approved automatically: ")
    assert "of another key" not in line
    assert state(world) == "candidate"


def test_a_key_that_is_named_and_not_there_leaves_a_candidate(world, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_APPROVER_KEY", "/nowhere/at/all.key")
    assert "no such file" in asked(world)
    assert state(world) == "candidate"


def test_the_requesters_own_key_does_not_approve(world, monkeypatch):
    monkeypatch.setenv("SYNTH_PIPELINE_APPROVER_KEY", str(world.keys.requester.key_path))
    monkeypatch.setenv("SYNTH_PIPELINE_APPROVER_PASSPHRASE", PASSPHRASE)
    assert "signed this release itself" in asked(world)
    assert state(world) == "candidate"


def test_a_key_that_is_not_listed_does_not_approve_and_a_listed_one_does(world):
    assert "may not approve" in asked(world, automatic_spec(approvers=[world.name_of("stranger")]))
    assert state(world) == "candidate"
    listed = automatic_spec(approvers=[world.name_of("stranger"), world.name_of("approver")])
    assert asked(world, listed).startswith("approved automatically")


def test_a_bundle_that_does_not_verify_stays_a_candidate(world):
    report = world.release("a").place / "report.html"
    report.write_text(report.read_text() + " ")
    assert "does not verify: report.html" in asked(world)
    assert state(world) == "candidate"


def test_a_withdrawn_release_is_never_approved_again(world):
    asked(world)
    decide(
        world.home, world.release("a"), world.signed("a", Wish("withdraw", "described wrongly")), approvers=(), now=NOW
    )
    before = decisions(world)
    assert asked(world).startswith(f"withdrawn by key {world.name_of('approver')}")
    assert decisions(world) == before
    assert state(world) == "withdrawn"


def test_a_release_that_goes_on_with_a_withdrawn_one_is_left_to_a_person(world):
    extra = score_facts(SCORE)
    world.add_release("b", spec=automatic_spec(), audit=AUDIT, extra={**extra, "buildsOn": {"release": "a-1"}})
    world.add_release("c", spec=automatic_spec(), audit=AUDIT, extra={**extra, "buildsOn": {"release": "b-1"}})
    decide(world.home, world.release("a"), world.signed("a", Wish("withdraw", "wrong", "")), approvers=(), now=NOW)
    assert "it builds on clinic/a-1, which was withdrawn" in asked(world, name="clinic/c-1")
    assert state(world, "clinic/c-1") == "candidate"


def test_a_persons_approval_stands_as_it_is(world):
    decide(
        world.home,
        world.release("a"),
        world.signed("a", Wish("approve", "teaching"), "stranger"),
        approvers=(),
        now=NOW,
    )
    assert asked(world) == f"approved by key {world.name_of('stranger')}"
    assert len(decisions(world)) == 1


def test_what_is_not_there_or_cannot_be_read_is_told_and_raises_nothing(world):
    assert "candidate: not approved automatically: " in asked(world, name="clinic/z-1")
    (world.release("a").place / "certificate.json").write_text("{}")
    assert "candidate: not approved automatically: " in asked(world)


def test_only_automatic_datasets_have_something_that_follows_a_release():
    assert what_follows(automatic_spec(approval="manual")) == set()
    assert [hook.name for hook in what_follows(automatic_spec())] == ["clinic_approval_followed"]


def test_the_decision_takes_released_facts_only():
    """What is judged is a certificate and floors; neither a snapshot nor a score without noise can reach the module."""
    source = Path(inspect.getfile(automatic_approval)).read_text(encoding="utf-8")
    imported = {node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    imported |= {
        alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names
    }
    private = (
        "synth_pipeline.snapshot",
        "synth_pipeline.benchmark",
        "synth_pipeline.profile",
        "synth_pipeline.privacy.curator",
    )
    assert {name for name in imported if name.startswith(private)} == {"synth_pipeline.benchmark.published"}
    assert list(inspect.signature(judge).parameters) == ["certificate", "floors"]
    assert list(inspect.signature(approve_without_a_person).parameters) == ["home", "spec", "name"]
    assert "home.private" not in inspect.getsource(approve_without_a_person) + inspect.getsource(
        automatic_approval._decided
    )
