"""From the lines of a `data` block to what graphs read: columns, what is fitted, generated, weighed."""
