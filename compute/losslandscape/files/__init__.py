"""Atomic writes, locks, journals, and checks of files of unknown origin."""
