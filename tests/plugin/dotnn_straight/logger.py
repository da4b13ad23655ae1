"""`nn train --log prose`: how training goes, a sentence for each epoch, in the run's folder."""


class Prose:
    """Satisfies `dotnn.plugins.Logger`."""

    name = "prose"
    summary = "a sentence for each epoch, in prose.txt"

    def open(self, folder, program):
        return Sentences(folder / "prose.txt", program.name)


class Sentences:
    """Satisfies `dotnn.training.loop.Observer`."""

    def __init__(self, path, name):
        self.path, self.name = path, name

    def started(self, start):
        self.say(f"{self.name} begins." if not start.at else f"{self.name} goes on after step {start.at}.")

    def tick(self, tick):
        pass

    def epoch(self, epoch):
        self.say(f"After epoch {epoch.number} its loss is {epoch.splits['train']['loss']:.3g}.")

    def ended(self, outcome):
        self.say(f"It ends with step {outcome.steps}.")

    def say(self, sentence):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(sentence + "\n")
