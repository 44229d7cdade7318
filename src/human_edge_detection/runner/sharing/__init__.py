"""What runs that are trained at once on one machine share: its cores, its GPUs, its memory."""
