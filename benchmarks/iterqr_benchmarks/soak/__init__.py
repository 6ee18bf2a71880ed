"""A node with the plugin under mixed load for a long time: does anything grow?"""
