"""The Python part of a worker's runtime. Private: apps use `cloister`."""
