"""
What PostgreSQL understands of every named query, as reviewed text: written by `store lock`, held by `store check`.
"""
