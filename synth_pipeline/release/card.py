"""The deployment card of a release: what a registry of differential-privacy deployments asks, answered from released facts.

Keys and vocabulary are those of the registry where it has them (`deployment.basic`, `dp_variant`, `privacy_loss`, `deployment_model`,
`accounting`, `implementation`, `administrative`); what it has no key for (cap over releases, audit, checks) stands beside, under
`budget_across_releases` and `verification`. What the owner did not state (`release.publication`) is null, not guessed.

Source:
    OpenDP Differential Privacy Deployments Registry, its schema of deployments; Nanayakkara, Ghazi and Vadhan 2025, Practitioners'
    Perspectives on a Differential Privacy Deployment Registry (arXiv:2509.13509); NIST SP 800-226.
"""

from collections.abc import Mapping
from typing import Any

from synth_pipeline.release.facts import NEIGHBOURS, ReleaseFacts
from synth_pipeline.release.guidance import MISUSES, limits, uses
from synth_pipeline.release.statement import APPROVAL, CERTIFICATE, DATA, SIGNATURE
from synth_pipeline.table.column import CategoricalColumn, IdentifierColumn

_ACTORS = (
    "The curator (the operator of the pipeline) holds the raw rows and is trusted with them, with the noise and with the ledger."
    " Readers of the release are not trusted: they may hold every release, the code and the specification, and know all rows but one"
    " unit's."
)

_POST_PROCESSING = (
    "Fitting the generator's parameters to noisy answers, sampling, decoding, holding rows to the rules, the expectations, the datasheet,"
    " the cards and the report read no real row; they are computed from the noisy answers and public facts, at no charge."
)

_HYPER_PARAMETERS = (
    "Public: fixed by the code, the specification and values released before; nothing was tuned, chosen or stopped early by looking at"
    " real rows without a charge. They are under generator.mechanismConfig in the certificate."
)

_RANDOMNESS = (
    "AES-256 in counter mode under fresh keys of the operating system; noise on released whole numbers by exact sampling of the discrete"
    " Gaussian (by opendp for choices and very large scales). Seeds steer only what comes after release."
)

_FLOATING_POINT_TRAINING = (
    "Weights trained by DP-SGD: single-precision sums, Gaussian noise released on a lattice; the residual risk is documented"
    " (docs/known_vulnerabilities.md) and not part of ε. Everything else is exact noise on whole numbers."
)

_WHOLE_NUMBERS = "Exact noise on whole numbers; no noise was drawn in floating point."

_SIDE_CHANNELS = (
    "Readers ask no questions, so nobody outside can time an answer. Durations, memory and sizes of private files are not hidden from"
    " whoever can watch the machine."
)


def card(facts: ReleaseFacts, *, certificate_digest: str | None = None) -> dict[str, Any]:
    """The content of card.json.

    Args:
        facts: facts of the release.
        certificate_digest: digest of the claim that the release is made under.

    Privacy:
        Public and released facts only.
    """
    return {
        "card": "differential-privacy deployment card, version 1",
        "url_slug": f"{facts.dataset}-{facts.version}".replace("_", "-").lower(),
        "deployment": {
            "basic": _basic(facts),
            "dp_variant": _variant(facts),
            "privacy_loss": _privacy_loss(facts),
            "budget_across_releases": _budget_across_releases(facts),
            "deployment_model": _model(facts),
            "accounting": {
                "accountant": facts.accountant,
                "composition": _composition(facts),
                "post_processing": _POST_PROCESSING,
            },
            "implementation": _implementation(facts),
            "verification": _verification(facts, certificate_digest),
            "administrative": {
                "status": "Candidate",
                "status_details": (
                    f"A candidate until a second key approves it; approval, conditions and expiry lie in the file {APPROVAL}. Required:"
                    f" {facts.spec.release.approval}."
                ),
                "tier": 3,
                "registry_authors": [],
            },
        },
    }


def _basic(facts: ReleaseFacts) -> dict[str, Any]:
    publication = facts.spec.release.publication
    stated: dict[str, Any] = {} if publication is None else publication.model_dump()
    publisher = stated.get("publisher")
    return {
        "name": f"{facts.dataset}, version {facts.version}",
        "data_curators": [] if publisher is None else [{"data_curator_name": publisher}],
        "contact": stated.get("contact"),
        "description": (
            f"Synthetic table of {facts.rows:,} rows and {len(facts.spec.columns)} columns that stands in for the private table"
            f" {facts.dataset}."
        ),
        "intended_use": " ".join(uses(facts)),
        "not_for": list(MISUSES),
        "limits": list(limits(facts)),
        "data_product_type": "Synthetic data",
        "data_product_region": stated.get("region"),
        "data_product_sector": stated.get("sector"),
        "publication_date": facts.created_at[:10],
        "publication_date_details": f"When the bundle was made ({facts.created_at}).",
        "license": stated.get("license"),
        "url": stated.get("url"),
    }


def _variant(facts: ReleaseFacts) -> dict[str, Any]:
    declared = [
        name
        for name, column in facts.spec.columns.items()
        if not isinstance(column, IdentifierColumn) and not (isinstance(column, CategoricalColumn) and column.discover)
    ]
    return {
        "variant_name": "Approximate DP",
        "data_domain": (
            f"Every table with the columns of schema.json and values in their domains; columns: {', '.join(facts.spec.columns)}."
        ),
        "unprotected_quantities": (
            "None was computed from the private table. Public by declaration, so outside the guarantee: names, kinds, order, types and"
            f" nullability of the columns, the rules, and the domains of {', '.join(declared) or 'no column'}."
        ),
    }


def _privacy_loss(facts: ReleaseFacts) -> dict[str, Any]:
    return {
        "privacy_unit": "User-level" if facts.spec.privacy.unit.column else "Row-level",
        "privacy_unit_details": facts.unit,
        "neighbouring_relation": NEIGHBOURS,
        "contribution_bound_rows": facts.spec.privacy.unit.max_rows,
        "privacy_parameters": {"epsilon": facts.composed_epsilon, "delta": facts.delta},
        "privacy_parameters_details": (
            f"ε proven for the whole release at δ, of a budget of {facts.epsilon:g}: it covers domains that were discovered, the number of"
            " rows, every statistic, the generator and hence every synthetic row."
        ),
        "budget": {"epsilon": facts.epsilon, "delta": facts.delta},
        "in_plain_words": (
            f"Whatever somebody believed about one unit, the release changes the odds by at most a factor of {facts.odds_factor:.3g}; who"
            f" thought it fifty-fifty can become at most {100 * facts.certainty_from_even:.0f} % sure, but for a chance"
            f" of {facts.delta:g}."
        ),
    }


def _budget_across_releases(facts: ReleaseFacts) -> dict[str, Any]:
    cap, cohorts = facts.spec.privacy.cap, facts.spec.privacy.cohorts
    overlap = {
        "disjoint": "declared disjoint: each person is in one snapshot only, so snapshots compose in parallel",
        "blocks": "declared by blocks: each person is in one block only, and a snapshot is charged in every block that it touches",
        None: "overlapping: all snapshots are charged to the same people",
    }[cohorts.by]
    return {
        "cap": {"epsilon": cap.epsilon, "delta": facts.spec.privacy.cap_delta},
        "period": cap.period,
        "lifetime_epsilon": cap.lifetime_epsilon if cap.period else cap.epsilon,
        "people_of_different_snapshots": overlap,
        "ledger_entry": facts.ledger_entry,
        "enforcement": "Reserved before the first read, or nothing is read; a walk that read and died stays charged as planned.",
    }


def _model(facts: ReleaseFacts) -> dict[str, Any]:
    is_repeated = facts.spec.source is not None
    return {
        "model_name": "Central",
        "model_name_details": "A trusted curator holds the raw rows and adds the noise.",
        "actors": _ACTORS,
        "release_type": "Many releases" if is_repeated else "One release",
        "release_type_details": (
            "One release a snapshot, as snapshots arrive; together they stay under the caps of budget_across_releases."
            if is_repeated
            else "The specification names no source of further snapshots; whatever else is released stays under the cap."
        ),
        "data_source_type": "Dynamic" if is_repeated else "Static",
        "access_type": "Non-interactive",
        "access_type_details": f"Readers get {DATA}; they cannot ask the private table anything.",
    }


def _composition(facts: ReleaseFacts) -> str:
    return (
        "Within the release adaptively, by a filter on Gaussian DP and privacy loss distributions; epsilons are never added."
        f" Across releases by the ledger (entry {facts.ledger_entry})."
    )


def _implementation(facts: ReleaseFacts) -> dict[str, Any]:
    return {
        "mechanisms": [
            {
                "stage": part.stage,
                "mechanism": part.mechanism,
                "answers": part.answers,
                "epsilon_alone": part.epsilon,
            }
            for part in facts.budget_parts()
        ],
        "mechanisms_details": f"Every event with its noise scale and sensitivity: predicate.mechanisms of {CERTIFICATE}.",
        "generator": facts.generator["kind"],
        "preprocessing_and_hyperparameter_tuning": _HYPER_PARAMETERS,
        "holdout": f"{100 * facts.spec.holdout:.0f} % of the units were kept aside for evaluation, which is internal but for a"
        " score that was measured under differential privacy (verification.published_score), where there is one.",
        "randomness": _RANDOMNESS,
        "floating_point": _FLOATING_POINT_TRAINING if facts.has_floating_point_noise else _WHOLE_NUMBERS,
        "side_channels": _SIDE_CHANNELS,
        "software": f"synth_pipeline {facts.code_version}",
        "specification_sha256": facts.spec.digest,
        "justification": "ε, δ, unit and cap are the owner's choice in the specification; the card does not judge them.",
    }


def _verification(facts: ReleaseFacts, certificate_digest: str | None) -> dict[str, Any]:
    failed = [outcome.expectation.name for outcome in facts.outcomes if not outcome.passed]
    return {
        "certificate": CERTIFICATE,
        "certificate_digest": certificate_digest,
        "signed_by": facts.signed_by,
        "signature": SIGNATURE if facts.signed_by else None,
        "audit": None if facts.audit is None else _audit(facts.audit),
        "published_score": facts.extra.get("publishedScore"),
        "checks": {"expectations": len(facts.outcomes), "failed": failed},
        "offline": "synth-pipeline verify BUNDLE --key PUBLIC_KEY",
    }


def _audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **audit,
        "meaning": (
            "The mechanism was run on the released table as if it were private, which costs nothing. A low bound does not show that a"
            " mechanism is private; a bound above the claim would show that it is not."
        ),
    }
