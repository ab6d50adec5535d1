"""Adapters that come with the package: a showcase of its features, and a template."""
