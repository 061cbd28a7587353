"""What a landscape says: critical points, flat regions, comparisons."""
