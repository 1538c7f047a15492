"""The budget calendar: the day on which a cap renews, so that a refusal can say how long it holds."""

from datetime import UTC, date, datetime, time

from synth_pipeline.spec import Spec
from synth_pipeline.spec.period import Period


def next_renewal(spec: Spec, today: date) -> date | None:
    """First day (UTC) after `today` on which the cap of a specification renews; None where it never does.

    A lifetime's cap never renews: where that is what refuses, no day frees budget.

    Example:
        >>> spec = Spec.from_mapping(
        ...     {
        ...         "dataset": "d",
        ...         "columns": {"x": {"kind": "boolean"}},
        ...         "privacy": {"epsilon": 1, "cap": {"period": "quarter"}},
        ...     }
        ... )
        >>> next_renewal(spec, date(2026, 5, 17)).isoformat()
        '2026-07-01'
    """
    period = spec.privacy.cap.period
    if period is None:
        return None
    return Period(period).around(datetime.combine(today, time(), tzinfo=UTC))[1].date()


def renewal_words(spec: Spec, today: date) -> str:
    """When the calendar frees budget, in a few words for the end of a refusal."""
    day = next_renewal(spec, today)
    if day is None:
        return "the cap never renews"
    words = f"the cap renews on {day.isoformat()}"
    return words if spec.privacy.cap.lifetime_epsilon is None else f"{words}, the lifetime's cap never"
