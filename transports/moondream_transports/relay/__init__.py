"""From a stream to web clients: `relay` for one, `Broadcast` for many, `latest` for video.

This package only pumps. The formats and buffers are in `sansio_moondream.relay`.
"""
