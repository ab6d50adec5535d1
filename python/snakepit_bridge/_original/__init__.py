"""What only code written for the original library uses."""
