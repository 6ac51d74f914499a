"""A function applied to many items, a few of them at once. `_async/concurrent_map.py` has it."""
