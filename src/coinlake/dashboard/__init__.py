"""The Strategy Command Center: what gold concludes, shown. Reads gold, nothing else, and never writes."""
