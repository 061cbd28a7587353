"""Landscapes in matplotlib and notebooks."""
