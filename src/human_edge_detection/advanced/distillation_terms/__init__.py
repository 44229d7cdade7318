"""What a student can be taught from a teacher's soft labels: pure functions, and the typed terms that apply them."""
