"""What the names of scores mean, in a line each: a reader of a page has no glossary beside it."""

import re

_WORDS: dict[str, tuple[str, str]] = {
    "TVD": (
        "TVD",
        "total variation distance: half the sum of the differences of shares, 0 the same, 1 nothing in common; the mean over all tables",
    ),
    "matched": (
        "matched",
        "the same with only as many synthetic rows as the holdout has, as the floor has, so that one may be divided by the other",
    ),
    "NIST": ("NIST k2, k3", "k-marginal score of NIST: 1000 (1 − TVD) over pairs and triples"),
    "KS": ("KS complement", "1 − the Kolmogorov-Smirnov distance; the mean over columns of numbers"),
    "TV": ("TV complement", "1 − TVD; the mean over columns of categories"),
    "association": (
        "association difference",
        "how far Cramér's V of a pair is from that of train; the mean over pairs",
    ),
    "C2ST": ("C2ST", "classifier two-sample test: how well a classifier tells the rows from others that it never saw"),
    "TSTR": (
        "TSTR",
        "train on synthetic rows, test on real ones; TRTR is trained on real ones, the baseline on nothing",
    ),
    "AUC": ("AUC", "chance that a row of one class is ranked above a row of another; 0.5 is chance, 1 is best"),
    "AP": ("AP", "average precision: area under precision over recall"),
    "selected": (
        "share, or equal number, selected",
        "as many rows are put in the class as it has in train; without these words the likeliest class decides",
    ),
    "parity": ("demographic parity difference", "largest minus smallest share of a group that is selected"),
    "odds": ("equalized odds difference", "the larger of the gaps in the true- and the false-positive rate"),
}


def score_words(text: str) -> list[tuple[str, str]]:
    """The names of scores that occur in a text, each with its meaning.

    Example:
        >>> [name for name, _ in score_words("2-way TVD, C2ST AUC")]
        ['TVD', 'C2ST', 'AUC']
    """
    return [named for mark, named in _WORDS.items() if re.search(rf"\b{mark}\b", text)]
