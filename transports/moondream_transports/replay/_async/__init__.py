"""The async replay transport."""
