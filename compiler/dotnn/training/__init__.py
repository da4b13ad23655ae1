"""The training room: the loop, what it tells while it runs, and the folder that a run leaves behind."""
