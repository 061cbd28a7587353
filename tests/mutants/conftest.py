"""`python -m tests.mutants.run` is a program that needs Cosmic Ray, and no test."""

collect_ignore_glob = ["*.py"]
