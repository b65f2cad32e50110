"""Training: an iterator of steps, and a run directory in which it is logged, saved and resumed exactly."""
