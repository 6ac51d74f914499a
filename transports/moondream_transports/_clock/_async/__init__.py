"""The async clocks."""
