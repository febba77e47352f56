"""A discrete model of a pull: the engine's own decisions, on a clock and a link that are made up.

It says what a link that this machine has not does to the scheduler, and whether the number of lanes settles. It never
stands in for a measurement: no figure of a report in perf/results but simulation.md comes from here.

links.py is the link and its connections, world.py the clock and the lanes, deciding.py the engine's decisions,
files.py what is fetched. cases.py is the table of links and pulls, prediction.py compares with measured runs.
"""
