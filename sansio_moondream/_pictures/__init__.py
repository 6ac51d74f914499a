"""Path text to polygons, pixels and SVG. Only Pillow (extra `images`) is imported late."""
