"""Speed and memory as ratios measured in one run, so that a slow machine and a fast one say the same."""
