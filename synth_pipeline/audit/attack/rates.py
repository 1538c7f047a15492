"""Success rates of attacks, their intervals, and what a target's presence in the training rows added to them.

Everything here is arithmetic on counts and scores. Intervals are functions of the level, because a report with thirty of them must ask
more of each than a reader of one does (see `AttackReport`).

- `wilson`: Wilson 1927, Probable inference, JASA 22, for rates that enter a difference.
- `clopper_pearson`: Clopper & Pearson 1934, Biometrika 26, where the tail itself is the claim.
- `excess_risk`: Giomi, Boenisch, Wehmeyer & Tasnádi 2023, A unified framework for quantifying privacy risk in synthetic data, PoPETs
  2023(2), section 4: R = (r_attack - r_control) / (1 - r_control). Deviation: they propagate symmetric errors around Wilson's shrunken
  centres to first order. That cuts the far tails: two equal rates of 90 %, 1,000 trials each, pass for an excess at a level of 99.8 %
  3.4 times too often (measured). Here 1 - R is a ratio of two rates of failure, and its interval follows from Wilson's ends of both
  without linearisation (Donner & Zou 2012, Statistical Methods in Medical Research 21, MOVER-R).
- `auc`: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44; ties count one half.
- `recognised_at`: Carlini et al. 2022, Membership inference attacks from first principles, section III, with both rates' uncertainty.
- `advantage`: Yeom et al. 2018, Privacy risk in machine learning, equation 2, its threshold chosen on other people.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from synth_pipeline.table.arrays import Floats

Ends = tuple[float, float]


@dataclass(frozen=True)
class Count:
    """How often an attack succeeded.

    Attributes:
        successes: targets, or predicates, that it got right; scaled where the groups differ in size.
        trials: how many it tried.
        scale: what the plain rate is multiplied by to compare groups of different sizes.
    """

    successes: int
    trials: int
    scale: float = 1.0

    @property
    def rate(self) -> float:
        """The share of successes."""
        return self.scale * self.successes / self.trials

    def ends(self, level: float) -> Ends:
        """Wilson's interval of the rate."""
        low, high = wilson(self.successes, self.trials, level)
        return self.scale * low, self.scale * high


@dataclass(frozen=True)
class Measured:
    """One figure of an attack, and how its interval follows from a level.

    Attributes:
        value: the effect.
        ends: the interval at a level.
        chance: what an attack that learnt nothing about membership gets, at a level.
        method: how the interval is made.
        counts: the rates that it came from.
    """

    value: float
    ends: Callable[[float], Ends]
    chance: Callable[[float], float]
    method: str
    counts: Mapping[str, Count] = field(default_factory=dict[str, Count])

    def with_count(self, name: str, count: Count) -> "Measured":
        """The same figure with one more rate beside it."""
        return replace(self, counts={**self.counts, name: count})


def wilson(successes: float, trials: int, level: float) -> Ends:
    """Wilson's score interval of a rate.

    Example:
        >>> [round(end, 3) for end in wilson(5, 10, 0.95)]
        [0.237, 0.763]
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, total = successes / trials, trials + z * z
    centre = (successes + z * z / 2) / total
    half = z / total * float(np.sqrt(max(trials * share * (1 - share), 0.0) + z * z / 4))
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def clopper_pearson(successes: int, trials: int, level: float) -> Ends:
    """The exact interval of a rate: each end is missed with probability at most (1 - level) / 2.

    Example:
        >>> [round(end, 3) for end in clopper_pearson(0, 10, 0.95)]
        [0.0, 0.308]
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def excess_risk(attack: Count, control: Count, naive: Count | None = None) -> Measured | None:
    """What being in the training rows added to an attack's success, as a share of what was left to add.

    Args:
        attack: successes on people of train.
        control: successes of the same attack on people that the generator never saw.
        naive: successes of a guess that looks at nothing.

    Returns:
        None when the control always succeeds: nothing is left to add.

    Example:
        >>> round(excess_risk(Count(60, 100), Count(20, 100)).value, 3)
        0.5
    """
    room = 1 - control.rate
    if room <= 0:
        return None
    value = (attack.rate - control.rate) / room

    def ends(level: float) -> Ends:
        (attack_low, attack_high), (control_low, control_high) = attack.ends(level), control.ends(level)
        low, high = ratio_ends(
            1 - attack.rate, (1 - attack_high, 1 - attack_low), room, (1 - control_high, 1 - control_low)
        )
        return max(min(1 - high, value), -1.0), min(max(1 - low, value), 1.0)

    counts = {"attack": attack, "control": control} | ({"naive": naive} if naive else {})
    return Measured(max(value, -1.0), ends, _zero, "MOVER-R", counts)


def ratio_ends(above: float, above_ends: Ends, below: float, below_ends: Ends) -> Ends:
    """The interval of a ratio of two independent rates, from theirs; its upper end is infinite where the lower rate may be 0.

    Source:
        Donner & Zou 2012, equations 9 and 10, solved so that no end is a difference of near numbers.
    """
    product = above * below
    (above_low, above_high), (below_low, below_high) = above_ends, below_ends
    inner = above_low * (2 * above - above_low)
    root = np.sqrt(max(product**2 - inner * below_high * (2 * below - below_high), 0.0))
    low = inner / (product + root) if product + root > 0 else 0.0
    outer = above_high * (2 * above - above_high)
    width = below_low * (2 * below - below_low)
    if below_low <= 0 or width <= 0:
        return float(low), float("inf")
    return float(low), float((product + np.sqrt(max(product**2 - outer * width, 0.0))) / width)


def auc(members: Floats, others: Floats) -> Measured:
    """The probability that a member scores above another person, ties counting one half.

    Shapes:
        members, others: one score a person; higher means more like a member.
    """
    ordered_members, ordered_others = np.sort(members), np.sort(others)
    of_member = _share_below(ordered_others, members)
    of_other = 1 - _share_below(ordered_members, others)
    value = float(of_member.mean())
    variance = float(of_member.var(ddof=1) / len(members) + of_other.var(ddof=1) / len(others))
    fewest = min(len(members), len(others))

    def ends(level: float) -> Ends:
        half = NormalDist().inv_cdf((1 + level) / 2) * float(np.sqrt(variance))
        unseen = 1 - ((1 - level) / 2) ** (1 / fewest)  # a share of people that none of them would show
        low = min(value - half, max(value - unseen, 0.0)) if value in {0.0, 1.0} else value - half
        high = max(value + half, min(value + unseen, 1.0)) if value in {0.0, 1.0} else value + half
        return max(low, 0.0), min(high, 1.0)

    return Measured(value, ends, lambda _: 0.5, "DeLong")


def recognised_at(members: Floats, others: Floats, *, false_rate: float = 0.01) -> Measured:
    """The share of members above a threshold that at most a share `false_rate` of other people pass.

    Chance is the upper end of the false-positive rate at that threshold, so a verdict allows for both uncertainties.
    """
    passing = int(np.floor(false_rate * len(others)))
    threshold = np.sort(others)[::-1][min(passing, len(others) - 1)]
    found = Count(int((members > threshold).sum()), len(members))
    false = Count(int((others > threshold).sum()), len(others))
    return Measured(
        found.rate,
        lambda level: clopper_pearson(found.successes, found.trials, level),
        lambda level: clopper_pearson(passing, false.trials, level)[1],
        "Clopper-Pearson",
        {"attack": found, "control": false},
    )


def advantage(members: Floats, others: Floats, rng: np.random.Generator) -> Measured:
    """True-positive minus false-positive rate at the threshold that is best for one half of the people, measured on the other half.

    Adding up both halves, each at the other's threshold, would use everybody, but its two parts depend on each other: useless scores
    then pass for useful ones at 95 % in 3.6 % of runs instead of 2.5 % (measured).
    """
    is_first, is_first_other = (_half(len(scores), rng) for scores in (members, others))
    threshold = _best_threshold(members[is_first], others[is_first_other])
    tried, tried_others = members[~is_first], others[~is_first_other]
    found = Count(int((tried >= threshold).sum()), len(tried))
    wrong = Count(int((tried_others >= threshold).sum()), len(tried_others))

    def ends(level: float) -> Ends:
        (found_low, found_high), (wrong_low, wrong_high) = found.ends(level), wrong.ends(level)
        down = np.hypot(found.rate - found_low, wrong_high - wrong.rate)
        up = np.hypot(found_high - found.rate, wrong.rate - wrong_low)
        return found.rate - wrong.rate - float(down), found.rate - wrong.rate + float(up)

    return Measured(found.rate - wrong.rate, ends, _zero, "Newcombe", {"attack": found, "control": wrong})


def _zero(_: float) -> float:
    return 0.0


def _share_below(ordered: Floats, scores: Floats) -> Floats:
    below = np.searchsorted(ordered, scores, side="left") + np.searchsorted(ordered, scores, side="right")
    return below / (2 * len(ordered))


def _half(size: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    return rng.permutation(size) < size // 2


def _best_threshold(members: Floats, others: Floats) -> float:
    candidates = np.unique(np.concatenate([members, others]))
    passed = 1 - np.searchsorted(np.sort(members), candidates, side="left") / len(members)
    wrong = 1 - np.searchsorted(np.sort(others), candidates, side="left") / len(others)
    return float(candidates[np.argmax(passed - wrong)])
