"""Views of landscapes in matplotlib and notebooks."""
