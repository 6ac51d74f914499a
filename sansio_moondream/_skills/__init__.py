"""Messages to events and results."""
