"""A release whose owner states what can be stated: notes, publisher, licence, source, a cap with a period, people with several rows."""

from synth_pipeline_tests.released_example import EXAMPLE, example_facts, example_spec

NOTE = 'Self-reported; "99" stands for 99 and older.'

PUBLICATION = {
    "publisher": "City Clinic",
    "contact": "data@clinic.example",
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "url": "https://clinic.example/synthetic",
    "intended_use": "Teaching triage statistics.",
    "region": "Germany",
    "sector": "Health",
}

AUDIT = {
    "claimedEpsilon": 0.99,
    "lowerBound": 0.71,
    "confidence": 0.95,
    "method": "gaussian",
    "runs": 10_000,
    "findings": [],
    "contradicts": False,
}


def described_spec(**changes):
    columns = {name: dict(column) for name, column in EXAMPLE["columns"].items()}
    columns["age"]["notes"] = NOTE
    content = {
        "columns": columns,
        "release": {"publication": PUBLICATION},
        "source": {"uri": "./snapshots"},
        "privacy": {
            "epsilon": 1.0,
            "delta": 1e-6,
            "unit": {"column": "patient", "max_rows": 3},
            "cap": {"epsilon": 2.0, "delta": 1e-5, "period": "year", "lifetime_epsilon": 8.0},
        },
    }
    return example_spec(**{**content, **changes})


def described_facts(**changes):
    return example_facts(described_spec(), audit=AUDIT, **changes)
