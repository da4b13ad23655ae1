"""What the lines of a `train` block make of an update: schedules, rates of parts, batches gathered into one."""
