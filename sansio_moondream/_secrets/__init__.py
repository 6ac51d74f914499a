"""What was sent as a secret, and where it shows in a text."""
