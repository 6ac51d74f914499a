"""The checks before a release. It is a program for maintainers and part of no package.

Read in this order: `__main__.py` has the steps, and each step has a module.
"""
