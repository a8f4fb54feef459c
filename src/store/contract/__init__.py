"""
The contract of a query: what PostgreSQL's own analyser says of it, and what is done with that.
"""
