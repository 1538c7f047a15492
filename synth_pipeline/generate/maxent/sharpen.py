"""A released profile made sharper by the tables that were measured after it: margins of noisy tables tell about single columns too.

Free of budget: it reads released answers only. What compares a fresh snapshot with an earlier release should start from it.
"""

from collections.abc import Sequence
from dataclasses import replace

from synth_pipeline.generate.maxent.fit import Measurement
from synth_pipeline.generate.maxent.reconcile import Margin, margins, reconciled
from synth_pipeline.generate.measured import MeasuredPair
from synth_pipeline.table.profile import Profile


def sharpened(profile: Profile, measured: Sequence[MeasuredPair]) -> Profile:
    """The profile with each column's counts improved by the margins of its tables, and their smaller noise.

    Args:
        profile: the released profile.
        measured: the noisy tables of the generator that was trained after it; those that it took over from an earlier release are of other
            rows and tell nothing here.
    """
    known: dict[int, list[Margin]] = {}
    for item in measured:
        if item.sigmas is None:
            found = margins(Measurement(item.partition, item.values, item.sigma))
            for index, margin in zip((item.first, item.second), found or (), strict=False):
                known.setdefault(index, []).append(margin)
    columns = list(profile.columns)
    for index, items in known.items():
        counts, sigma = reconciled(columns[index].counts, columns[index].sigma, items)
        columns[index] = replace(columns[index], counts=counts, sigma=sigma)
    return replace(profile, columns=tuple(columns))
