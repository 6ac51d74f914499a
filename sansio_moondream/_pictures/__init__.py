"""Path text to polygons, pixels and SVG."""
