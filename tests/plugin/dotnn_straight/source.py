"""`source jsonlines "rows.jsonl"`: one JSON object a line, all with the same keys."""

import json


class JsonLines:
    """Satisfies `dotnn.plugins.DataSource`."""

    name = "jsonlines"
    summary = "one JSON object a line"

    def tables(self, argument, place):
        return [Table(argument, place)]


class Table:
    """Satisfies `dotnn.plugins.Table`."""

    def __init__(self, shown, place):
        self.shown, self.place = shown, place

    def header(self):
        first = next(self.objects(), None)
        if first is None:
            self.place.fail(f"`{self.shown}` is empty", "write one JSON object on each line")
        return list(first[1])

    def rows(self):
        keys = self.header()
        for number, row in self.objects():
            if list(row) != keys:
                self.place.fail(
                    f"line {number} of `{self.shown}` has other keys than the first", "give all the same keys"
                )
            yield [value if isinstance(value, str) else json.dumps(value) for value in row.values()]

    def objects(self):
        with self.place.open(self.shown) as file:
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict):
                    self.place.fail(f"line {number} of `{self.shown}` is no JSON object", 'write {"a": 1, "b": 2}')
                yield number, row
