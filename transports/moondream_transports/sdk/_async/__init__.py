"""The async model."""
