"""Retrieval augmenter: titles the region's users clicked, read from OpenSearch."""
