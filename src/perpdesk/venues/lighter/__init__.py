"""The Lighter connector: wire frames, feed without I/O, ordered transactions, and the `Venue` on top of them."""
