"""From what users saw and did to what each rewrite earned: collection, attribution, experiments."""
