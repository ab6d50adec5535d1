"""Adapters that come with the package: a showcase of what it can do, and a template."""
