"""The async fixtures of the plugin."""
