import re

import numpy as np
import pytest

from synth_pipeline.audit.attack.rates import Count, auc, excess_risk
from synth_pipeline.audit.attack.report import AttackReport, figure_of
from synth_pipeline.errors import TableError
from synth_pipeline.report.attack_page import attack_page


def _report() -> AttackReport:
    rng = np.random.default_rng(0)
    copies = excess_risk(Count(300, 1000), Count(10, 500))
    assert copies is not None
    copies = copies.with_count("synthetic rows equal to train", Count(150, 1000))
    figures = (
        figure_of("membership_distance", "auc", auc(rng.random(200), rng.random(200)), family=4, reason=""),
        figure_of("exact_copies", "risk", copies, family=4, reason=""),
        figure_of(
            "attribute_inference",
            "risk",
            excess_risk(Count(20, 100), Count(21, 100), Count(25, 100)),
            column="<b>pay</b>",
            family=4,
            reason="",
        ),
        figure_of("linkability", "risk", None, family=4, reason="needs two modelled columns"),
    )
    return AttackReport(
        dataset="toy",
        spec_digest="0" * 64,
        seed=0,
        people={"train": 1000, "holdout": 500},
        synthetic_rows=1000,
        columns=3,
        figures=figures,
        warnings=("only 500 people in holdout",),
    )


def test_the_page_says_that_it_is_internal_and_loads_nothing():
    page = attack_page(_report())
    assert "INTERNAL" in page
    assert not re.search(r'(?:src|href)="', page)


def test_the_page_shows_every_figure_with_its_words():
    page = attack_page(_report())
    assert "1 of 3" in page
    assert "30.0% of people of train and 2.0% of people never seen have an exact copy among the synthetic rows" in page
    assert "no better than a guess that looks at nothing" in page
    assert "needs two modelled columns." in page
    assert "Warning: only 500 people in holdout." in page


def test_names_of_columns_are_escaped():
    page = attack_page(_report())
    assert "<b>pay</b>" not in page
    assert "&lt;b&gt;pay&lt;/b&gt;" in page


def test_the_page_of_a_report_and_of_its_json_are_the_same():
    assert attack_page(_report()) == attack_page(_report().to_dict())


def test_what_is_no_report_is_refused():
    with pytest.raises(TableError, match="attacks: "):
        attack_page({"figures": 3})
