"""The async recording transport."""
