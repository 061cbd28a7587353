"""Actor and critic on an inventory problem with a known optimum; ``make study-rl``."""
