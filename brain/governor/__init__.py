"""Rules of the Governor: limits, kill score, switches. Pure functions of a plan and its inputs."""
