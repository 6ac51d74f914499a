"""Fuzzing of the decoder; see CONTRIBUTING.md. `python fuzz/run.py --help` says how to run it."""
