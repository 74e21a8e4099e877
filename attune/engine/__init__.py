"""Language models on this machine: installs their libraries and weights in the data folder."""
