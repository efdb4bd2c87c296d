"""What coins are called that others are measured by, and how one of a simulated market is told from a real one."""

SIMULATED = "sim-"
"""Every id of a simulated market begins so, and no other's does. A lake is of one market."""

BITCOINS = ("bitcoin", f"{SIMULATED}bitcoin")
ETHERS = ("ethereum", f"{SIMULATED}ethereum")
