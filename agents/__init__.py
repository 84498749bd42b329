"""Who acts on the streams: one thin agent a file; side effects are applied here and nowhere else."""
