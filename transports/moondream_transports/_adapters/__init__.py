"""Transports on HTTP libraries. They use only what the libraries document, and patch nothing."""
