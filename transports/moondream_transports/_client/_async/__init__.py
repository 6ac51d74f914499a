"""The async client and its stream."""
