"""Fixtures that tests of several layers share."""

pytest_plugins = ["support.opensearch_node"]
