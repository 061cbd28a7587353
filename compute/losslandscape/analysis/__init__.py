"""Analysis of landscapes: critical points, flat regions, comparisons."""
