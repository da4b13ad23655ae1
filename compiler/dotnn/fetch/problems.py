"""What can go wrong when a set is fetched."""

from __future__ import annotations

from dotnn_grammar.problems import Problem


class NoSuchSet(Problem):
    code = "H001"
    title = "no set of data is called `{name}`"
    help = "{near}"
    name: str
    near: str


class NoClient(Problem):
    code = "H002"
    title = "`{client}`, which fetches {what}, is not installed"
    help = "{advice}"
    client: str
    what: str
    advice: str


class NotFetched(Problem):
    code = "H003"
    title = "`{client}` did not fetch {package}: {why}"
    help = "{advice}"
    client: str
    package: str
    why: str
    advice: str


class OtherPackage(Problem):
    code = "H004"
    title = "{package} is not the package that was expected: its SHA-256 is {found}"
    help = "{expected} was expected; nothing of it was read or written. Fetch it once more; if it stays so, report it"
    package: str
    found: str
    expected: str


class UnreadablePackage(Problem):
    code = "H005"
    title = "{package} cannot be read: {why}"
    help = "{advice}"
    package: str
    why: str
    advice: str = "fetch it once more: nothing was written"


class OtherContents(Problem):
    code = "H006"
    title = "`{file}`, made from {package}, is not what was expected"
    help = "its SHA-256 is {found}, and {expected} was expected: nothing was written. Please report it"
    file: str
    package: str
    found: str
    expected: str


class OtherFilesThere(Problem):
    code = "H007"
    title = "`{folder}` holds other files than this set: {what}"
    help = "move the folder away and ask again; or have it replaced: nn data get {name} --again"
    folder: str
    what: str
    name: str


class NotWritten(Problem):
    code = "H008"
    title = "`{folder}` cannot be written: {why}"
    help = "{advice}; nothing was left there"
    folder: str
    why: str
    advice: str


class NoSuchWay(Problem):
    code = "H009"
    title = "`{name}` does not come by {client}"
    help = "it comes by {known}"
    name: str
    client: str
    known: str


class NoPackageFile(Problem):
    code = "H010"
    title = "`{file}` is no package of `{name}`: {why}"
    help = "a package of it is called {known}"
    file: str
    name: str
    why: str
    known: str
