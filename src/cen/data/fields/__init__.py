"""What a field of a data set is, and how its values become numbers for a network."""
