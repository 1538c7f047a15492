"""What more or less budget would buy: the walk repeated on a released table, over a grid of ε, at no cost to anybody's privacy.

Belongs here: the simulation, its expected scores with intervals, and what they say in words. Does not: private rows, or the real ledger.

Privacy: everything here reads a released synthetic table, a released generator and public facts, so its results are post-processing of a
release (Dwork & Roth 2014, proposition 2.1) and may be shown to whoever may see the release. No ε of the grid is granted to anybody.
"""
