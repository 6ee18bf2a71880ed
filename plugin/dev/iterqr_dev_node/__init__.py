"""A real OpenSearch node for development, assembled from Maven Central."""
