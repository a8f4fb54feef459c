"""
A team's own package, as small as it can be: its queries, its DTOs, and what `store lock --stubs` writes for them.
"""
