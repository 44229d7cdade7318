"""Speed, memory, size and accuracy of exported models, ours and others', in one table."""
