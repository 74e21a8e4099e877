"""Language models on this machine: brings their libraries and weights into the data folder."""
