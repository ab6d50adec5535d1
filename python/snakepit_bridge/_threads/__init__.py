"""Adapters whose methods run on several threads, and the search for unsafe code in them."""
