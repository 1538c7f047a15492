"""The Croissant description of a release: JSON-LD by which machine-learning tools and dataset search find and load data.parquet.

It names the finished data.parquet by its SHA-256 and the claim by its digest; the certificate names the finished croissant.json. So there
is no circle: data.parquet, then croissant.json, then the certificate.

Source:
    MLCommons Croissant Format Specification 1.1; Croissant RAI Specification 1.0 (properties `rai:…`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from synth_pipeline.release.facts import NEIGHBOURS, ReleaseFacts
from synth_pipeline.release.guidance import MISUSES, limits, uses
from synth_pipeline.release.schema import domain_words
from synth_pipeline.release.statement import CERTIFICATE, DATA, file_digest

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
"""The specifications that the description follows."""

ROWS = "rows"
"""Id of the one record set: the rows of data.parquet."""

_PARQUET = "application/x-parquet"

_OWN_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet",
    "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip

_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    **{term: f"cr:{term}" for term in _OWN_TERMS},
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "name": {"@container": "@language"},
    "description": {"@container": "@language"},
}

_TYPES = (
    ("timestamp", "sc:DateTime"),
    ("date", "sc:Date"),
    ("bool", "sc:Boolean"),
    ("int", "sc:Integer"),
    ("uint", "sc:Integer"),
    ("double", "sc:Float"),
    ("float", "sc:Float"),
    ("decimal", "sc:Float"),
)


def croissant(
    facts: ReleaseFacts, schema: Mapping[str, Any], data: Path, *, certificate_digest: str | None = None
) -> dict[str, Any]:
    """The content of croissant.json.

    What the owner did not state (`release.publication` in the specification: licence, web page, publisher) is left out, not guessed.

    Args:
        facts: facts of the release.
        schema: its released schema (see `release.schema`).
        data: the finished data.parquet.
        certificate_digest: digest of the claim that the release is made under, to be named in the description.

    Privacy:
        Public and released facts only.
    """
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": facts.dataset,
        "description": _description(facts, certificate_digest),
        **_published(facts),
        "version": facts.version,
        "citeAs": _citation(facts),
        "dateCreated": facts.created_at,
        "datePublished": facts.created_at,
        "isLiveDataset": False,
        "keywords": ["synthetic data", "differential privacy", "tabular"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": DATA,
                "name": DATA,
                "description": "The synthetic table; its key-value metadata state the guarantee.",
                "contentUrl": DATA,
                "contentSize": f"{data.stat().st_size} B",
                "encodingFormat": _PARQUET,
                "sha256": file_digest(data),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": ROWS,
                "name": ROWS,
                "description": f"{facts.rows:,} synthetic rows; none is a real person's record.",
                "field": [_field(column) for column in schema["columns"]],
            }
        ],
        **_responsible_use(facts, schema),
    }


def croissant_type(arrow_type: str) -> str:
    """The Croissant data type of an Arrow type, written as Arrow writes it.

    Example:
        >>> croissant_type("timestamp[us]"), croissant_type("large_string")
        ('sc:DateTime', 'sc:Text')
    """
    plain = arrow_type.removeprefix("dictionary<values=")
    return next((name for prefix, name in _TYPES if plain.startswith(prefix)), "sc:Text")


def _description(facts: ReleaseFacts, certificate_digest: str | None) -> str:
    named = "" if certificate_digest is None else f", claim {certificate_digest}"
    return (
        f"Synthetic table of {facts.rows:,} rows that stands in for the private table {facts.dataset}. It was made under differential"
        f" privacy: ε = {facts.composed_epsilon:.6g} (budget {facts.epsilon:g}), δ = {facts.delta:g}; {facts.unit}; neighbours:"
        f" {NEIGHBOURS}. The full claim is in {CERTIFICATE}{named}."
    )


def _citation(facts: ReleaseFacts) -> str:
    publication = facts.spec.release.publication
    publisher = "" if publication is None or publication.publisher is None else f" {publication.publisher},"
    return f"{facts.dataset}, version {facts.version}: a differentially private synthetic table.{publisher} {facts.created_at[:4]}."


def _published(facts: ReleaseFacts) -> dict[str, Any]:
    """What the owner states about the publication, and only that."""
    publication = facts.spec.release.publication
    if publication is None:
        return {}
    organisation = None if publication.publisher is None else _organisation(publication.publisher, publication.contact)
    stated = {
        "license": publication.license,
        "url": publication.url,
        "creator": organisation,
        "publisher": organisation,
    }
    return {key: value for key, value in stated.items() if value is not None}


def _organisation(name: str, contact: str | None) -> dict[str, str]:
    return {"@type": "sc:Organization", "name": name, **({"description": f"Contact: {contact}"} if contact else {})}


def _field(column: Mapping[str, Any]) -> dict[str, Any]:
    name = column["name"]
    parts = [
        column["description"],
        f"Unit: {column['unit']}." if column["unit"] else None,
        f"Notes: {column['notes']}" if column["notes"] else None,
        f"Domain: {domain_words(dict(column))} ({column['domain']['source']}).",
        "May be null." if column["nullable"] else "Never null.",
    ]
    return {
        "@type": "cr:Field",
        "@id": f"{ROWS}/{quote(name, safe='')}",
        "name": name,
        "description": " ".join(part for part in parts if part),
        **({"unitText": column["unit"]} if column["unit"] else {}),
        "dataType": croissant_type(column["type"]),
        "source": {"fileObject": {"@id": DATA}, "extract": {"column": name}},
    }


def _responsible_use(facts: ReleaseFacts, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of the RAI vocabulary that can be answered honestly."""
    nullable = [column["name"] for column in schema["columns"] if column["nullable"]]
    return {
        "rai:dataCollection": (
            "Nobody was asked or observed for these rows: they were sampled from a generator that was trained under differential privacy"
            f" on one snapshot of the private table {facts.dataset}. How that table was collected is its owner's to say."
        ),
        "rai:dataCollectionType": ["Others: synthetic data"],
        "rai:dataCollectionRawData": (
            "The private table is not part of the release. The snapshot is known by a keyed HMAC in the certificate, which tells two"
            " snapshots apart and nothing about their rows."
        ),
        "rai:dataCollectionMissingData": (
            f"May be null, about as often as in the private table: {', '.join(nullable)}."
            if nullable
            else "No column may be null."
        ),
        "rai:dataPreprocessingProtocol": _preparation(facts),
        "rai:dataManipulationProtocol": (
            "Every statistic that was taken from the private table carries noise; rows were then sampled, decoded and held to the rules,"
            f" which reads no real row. Accountant: {facts.accountant}."
        ),
        "rai:dataLimitations": [*limits(facts), *(f"Not for: {misuse[0].lower()}{misuse[1:]}" for misuse in MISUSES)],
        "rai:dataUseCases": list(uses(facts)),
        "rai:personalSensitiveInformation": _sensitive(facts),
        "rai:dataReleaseMaintenancePlan": (
            f"Version {facts.version} is final; a correction comes as a new version. Approval, its conditions and its expiry lie in the"
            " file approval beside it, where it was given."
        ),
    }


def _preparation(facts: ReleaseFacts) -> list[str]:
    unit = facts.spec.privacy.unit
    kept = f"Of each person at most {unit.max_rows} rows were kept, by a keyed random choice." if unit.column else None
    steps = (
        "The snapshot was checked against its specification.",
        kept,
        f"About {100 * facts.spec.holdout:.0f} % of the people were kept aside for evaluation; the generator never saw them.",
    )
    return [step for step in steps if step]


def _sensitive(facts: ReleaseFacts) -> list[str]:
    told = [
        (
            "No row is a person's record. The guarantee bounds what the table gives away about any one unit; it does not hide what is"
            " true of groups."
        )
    ]
    if facts.spec.identifiers:
        told.append(f"Invented, the real values were never read: {', '.join(facts.spec.identifiers)}.")
    if facts.spec.fairness is not None and facts.spec.fairness.sensitive:
        told.append(f"Named as sensitive by the owner: {', '.join(facts.spec.fairness.sensitive)}.")
    return told
