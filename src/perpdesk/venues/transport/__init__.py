"""How bytes reach a venue: two small ports, and their pooled live and in-memory forms."""
