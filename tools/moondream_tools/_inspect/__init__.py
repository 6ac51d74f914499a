"""`moondream-stream inspect`: the page that shows a stream."""
