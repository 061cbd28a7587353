"""What is drawn in a panel: surface, contours, trajectories, topology and others."""
