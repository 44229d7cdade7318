"""What a student can be taught from a teacher's answers: pure functions, and the typed terms that apply them."""
