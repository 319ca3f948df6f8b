"""One view over all venues: books, funding and how old they are, under one name per asset."""
