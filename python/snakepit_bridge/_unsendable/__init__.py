"""Values that cannot be sent: hints for their users, and the markers that replace them."""
