"""Scores of units, reconstructions and priors, and the report that explains them.

Each measure is one function that states its definition, unit and range, and checks what it is given.
"""
