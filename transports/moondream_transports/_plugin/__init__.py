"""The inside of `moondream_transports.pytest_plugin`."""
