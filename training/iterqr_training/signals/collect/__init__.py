"""From OpenSearch to a store: impressions, UBI queries and UBI events, each exactly once."""
