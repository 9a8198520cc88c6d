"""Backends that you run yourself: memory, SQLite and files, and mocks of what lies outside."""

from openbolt_local.app import open_dependencies, with_mock_notice

__all__ = ["open_dependencies", "with_mock_notice"]
