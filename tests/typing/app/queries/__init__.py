"""
Makes a package of the folder, so that a checker finds the types beside it.
"""
