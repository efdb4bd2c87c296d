"""One file a page: each has `show`, which asks `queries`, has `figures` drawn, and places them."""
