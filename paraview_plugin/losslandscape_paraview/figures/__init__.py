"""Figures: panels, colour tables, axes and legend, and the functions that build them."""
