"""Private drift: a fresh snapshot measured under DP and compared with what is released of an earlier one, and what follows from it.

Belongs here: measurements, tests, effect sizes, decisions. Does not: reading files, training anew, pages.
"""
