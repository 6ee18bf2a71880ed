"""From what users did, what people say and what a judge thinks to labels of rewrites and items."""
