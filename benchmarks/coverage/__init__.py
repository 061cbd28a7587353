"""Every claim that the package makes with a number, tried against known truth.

``python -m benchmarks.coverage`` runs the study and writes ``docs/coverage.md``. One module per
family of claims; each trial is a function of a seed.
"""
