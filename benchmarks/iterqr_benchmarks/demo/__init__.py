"""The demo: every query searched without and with the rewrite channel, told on the terminal and in a report."""
