"""
The contract of a query: what PostgreSQL's own analyser says of it, written by `store lock`, held by `store check`.
"""
