"""Silver: what one answer said about one thing at one time, typed and checked. Opinions begin here, and nothing is
ever updated.
"""
