"""Requests of every skill, the endpoint, and the encoding of images."""
