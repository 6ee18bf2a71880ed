"""Before anything is learned: searches with known outcomes, planted in the live system, must be credited rightly.

`cases.py` says what is planted and what must come of it, `channels.py` what the node itself says each channel
retrieves, `comparison.py` whether the attribution says the same; `run.py` does it.
"""
