"""Storage of the tuner's files, jobs and models."""
