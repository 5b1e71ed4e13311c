"""The log files of this machine, read for people: `./run.sh logs`, and the support file."""
