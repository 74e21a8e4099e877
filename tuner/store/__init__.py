"""Where the tuner's files, jobs and models last."""
