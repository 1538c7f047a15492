"""What a synthetic table must hold to be released: pure expectations from the specification and the released profile.

Belongs here: which checks there are and what they find. Does not: Great Expectations (integrations) or scores on real rows (benchmark).
"""
