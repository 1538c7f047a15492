"""A release's lineage: every column reaches its snapshot and its charges, and the charges compose to what is claimed."""

import dataclasses
import json

import pytest

from synth_pipeline.privacy.accounting import composed_epsilon
from synth_pipeline.privacy.events import DiscreteGaussianEvent, event_from_dict
from synth_pipeline.release.asset_columns import asset_columns
from synth_pipeline.release.bundle import BUNDLE_FILES, write_bundle
from synth_pipeline.release.charge_record import charge_records, event_of
from synth_pipeline.release.lineage import released_lineage, table_digest
from synth_pipeline.release.statement import CERTIFICATE, LINEAGE
from synth_pipeline.release.verify import same_release, verify_digests
from synth_pipeline_tests.released_example import example_facts, example_spec, example_table


@pytest.fixture(scope="module")
def lineage():
    return released_lineage(example_facts(), example_table())


def test_every_modelled_column_reaches_its_snapshot_column_and_its_charges(lineage):
    spec = example_spec()
    assert [column.name for column in lineage.columns] == list(spec.columns)
    for name in spec.modelled:
        column = lineage.column(name)
        assert column.source == name
        assert column.charges, f"{name} reaches no charge"
        assert column.epsilon > 0
        assert column.mu_squared > 0
        assert {link.column for link in column.depends_on} == set(spec.modelled)
        assert [link.column for link in column.depends_on if link.kind == "DIRECT"] == [name]


def test_every_charge_that_feeds_the_table_is_reached_from_a_column(lineage):
    reached = {number for column in lineage.columns for number in column.charges}
    assert reached == {charge.number for charge in lineage.charges if charge.reach != "no column"}


def test_an_identifier_comes_from_nothing(lineage):
    patient = lineage.column("patient")
    assert (patient.source, patient.right, patient.charges, patient.depends_on) == (None, "invented", (), ())
    assert "never read" in patient.words


def test_the_unit_column_is_said_to_have_bounded_contributions():
    spec = example_spec(privacy={"epsilon": 1.0, "delta": 1e-6, "unit": {"column": "patient", "max_rows": 3}})
    column = released_lineage(example_facts(spec), example_table()).column("patient")
    assert "whose each row is" in column.words


def test_a_discovered_column_says_so_and_a_declared_one_too(lineage):
    assert lineage.column("town").right == "discovered"
    assert lineage.column("ward").right == "declared"


def test_rules_are_told_at_each_column_that_they_name(lineage):
    assert lineage.column("age").rules == ("age >= 18 OR insured",)
    ruled = [link for link in lineage.column("age").depends_on if link.way == "FILTER"]
    assert [link.column for link in ruled] == ["insured"]
    assert lineage.column("town").rules == ()


def test_the_charges_compose_to_the_claim_and_do_not_add_up_to_it(lineage):
    facts = example_facts()
    events = [event_of(event) for event in facts.events]
    assert lineage.guarantee["charges_compose_to"] == pytest.approx(composed_epsilon(events, facts.delta))
    assert lineage.guarantee["charges_compose_to"] == pytest.approx(facts.composed_epsilon)
    assert sum(charge.epsilon for charge in lineage.charges) > facts.composed_epsilon


def test_an_event_that_names_its_columns_is_believed_before_its_words():
    event = DiscreteGaussianEvent(stage="profile", purpose="fee: one-way", columns=("visit:weekday",), sigma=3.0)
    (charge,) = charge_records([event.to_dict()], ("visit", "fee"), delta=1e-6)
    assert (charge.columns, charge.reach) == (("visit",), "named")


@pytest.mark.parametrize(
    "purpose, columns, reach",
    [
        ("age: one-way", ("age",), "read from its words"),
        ("opened:weekday: one-way", ("opened",), "read from its words"),
        ("round 1: age × capital-gain (level 2)", ("age", "capital-gain"), "read from its words"),
        ("table age × sex × opened", ("age", "sex", "opened"), "read from its words"),
        ("functional dependency age → sex", ("age", "sex"), "read from its words"),
        ("round 1: errors of pairs", ("age", "sex", "capital-gain", "opened"), "every modelled column"),
    ],
)
def test_events_that_name_no_column_are_read_by_their_words(purpose, columns, reach):
    event = {
        "kind": "discrete_gaussian",
        "stage": "generator",
        "purpose": purpose,
        "sigma": 2.0,
        "sensitivity": 1,
        "count": 1,
    }
    (charge,) = charge_records([event], ("age", "sex", "capital-gain", "opened"), delta=1e-6)
    assert (charge.columns, charge.reach) == (columns, reach)


def test_a_row_count_is_of_no_column():
    event = DiscreteGaussianEvent(stage="profile", purpose="row count", sigma=3.0)
    (charge,) = charge_records([event.to_dict()], ("age", "count"), delta=1e-6)
    assert (charge.columns, charge.reach) == ((), "no column")


def test_columns_of_an_event_change_neither_its_cost_nor_older_records():
    plain = DiscreteGaussianEvent(stage="profile", purpose="age: one-way", sigma=3.0)
    named = dataclasses.replace(plain, columns=("age",))
    assert composed_epsilon([named, plain], 1e-6) == composed_epsilon([plain, plain], 1e-6)
    assert "columns" not in plain.to_dict()
    assert event_from_dict(json.loads(json.dumps(named.to_dict()))) == named
    assert event_from_dict(plain.to_dict()) == plain


def test_a_pair_that_the_generator_was_fitted_to_counts_as_measured_together():
    facts = example_facts(generator={"kind": "maxent", "facts": {}, "measuredTogether": [["age", "ward"]]})
    column = released_lineage(facts, example_table()).column("ward")
    assert column.measured_with == ("age",)


def test_the_bundle_carries_its_lineage_and_the_certificate_names_it(tmp_path):
    facts, frame = example_facts(), example_table()
    folder = write_bundle(tmp_path / facts.version, facts, frame, report="<p>report</p>")
    content = json.loads((folder / LINEAGE).read_text())
    assert LINEAGE in BUNDLE_FILES
    assert verify_digests(folder) == []
    assert content["snapshot"]["hmac"] == facts.snapshot_fingerprint
    assert content["table"]["rows"] == len(frame)
    assert {column["name"] for column in content["columns"]} == set(facts.spec.columns)


def test_the_certificate_holds_the_ledgers_head_of_its_day(tmp_path):
    head = {"entries": 4, "digest": "ab" * 32}
    facts = example_facts(ledger_head=head, links={"dagsterRun": "r"})
    folder = write_bundle(tmp_path / facts.version, facts, example_table(), report="")
    predicate = json.loads((folder / CERTIFICATE).read_text())["predicate"]
    assert predicate["ledger"]["head"] == head
    assert predicate["links"] == {"dagsterRun": "r"}


def test_the_same_release_made_at_a_later_head_is_the_same_release(tmp_path):
    frame = example_table()
    made = [
        write_bundle(
            tmp_path / str(entries) / "v",
            example_facts(ledger_head={"entries": entries, "digest": "cd" * 32}),
            frame,
            report="",
        )
        for entries in (4, 7)
    ]
    assert same_release(*made)


def test_the_digest_of_a_table_survives_parquet_and_sees_one_changed_cell(tmp_path):
    import pandas as pd

    frame = example_table(50)
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    assert table_digest(pd.read_parquet(tmp_path / "t.parquet")) == table_digest(frame)
    frame.loc[7, "age"] += 1
    assert table_digest(pd.read_parquet(tmp_path / "t.parquet")) != table_digest(frame)


def test_links_from_asset_to_asset_lead_from_the_release_back_to_the_source():
    spec = example_spec()
    for name in spec.modelled:
        found, seen = [("release", name)], set()
        while found:
            asset, column = found.pop()
            seen.add((asset, column))
            made = asset_columns(spec, asset)
            links = made.columns[column] if made else ()
            found += [(link.asset, link.column) for link in links if (link.asset, link.column) not in seen]
        assert {
            ("synthetic_table", name),
            ("generator", name),
            ("profile", name),
            ("real_snapshot", name),
            ("source", name),
        } <= seen
    assert asset_columns(spec, "synthetic_table").columns["patient"] == ()
    assert asset_columns(spec, "tstr_benchmark") is None
