"""Arrays of numbers for interpreters without numpy."""
