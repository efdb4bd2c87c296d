"""The same work as its friends would write it. Each module has `run`, of which the clock is told; what is returned is
called with the clock running, and may return another function that keeps its result once the clock has stopped.
"""
