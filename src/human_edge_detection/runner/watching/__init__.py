"""Where runs stand while they run: read quickly, shown as lines or as a table, for one look or again and again."""
