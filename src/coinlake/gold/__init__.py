"""Gold: conclusions that can be rebuilt from silver at any time."""
