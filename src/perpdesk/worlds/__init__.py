"""The worlds a desk can live in, assembled from the same parts; besides the command line, only this package knows everyone."""
