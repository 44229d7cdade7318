"""The networks and their distillation."""
