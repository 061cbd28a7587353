"""How every figure looks: its colours and sizes, the scale of its heights, round ticks."""
