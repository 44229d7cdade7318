"""What a batch starts beside its trainings: commands that nobody types."""
