"""
The store with async and await: written by hand, and the source of its twin.
"""
