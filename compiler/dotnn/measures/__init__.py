"""What is measured: a figure of all rows, made of what the graphs give for each batch."""
