"""An ASGI application that broadcasts answers to browsers."""
