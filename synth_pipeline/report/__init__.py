"""Pages for people: the publishable report of a release, and the internal report of an evaluation, each one self-contained HTML file.

Belongs here: what a page shows and how it looks. Does not: scores (benchmark), facts and files of a release (release).
"""
