"""What can be wrong with the meaning of a spec. Codes B…"""

from __future__ import annotations

from dotnn_grammar.problems import Problem


class UnknownName(Problem):
    code = "B001"
    title = "there is nothing called `{name}` here"
    label = "not known"
    help = "{near}"
    name: str
    near: str


class NotThatKind(Problem):
    code = "B002"
    title = "{wanted} is needed here, and this is {found}"
    label = "this is {found}"
    help = "{way}"
    wanted: str
    found: str
    way: str = ""


class Misfit(Problem):
    code = "B003"
    title = "{why}"
    label = "while computing this"
    help = "{way}"
    why: str
    way: str = ""


class UnknownArgument(Problem):
    code = "B004"
    title = "{callee} has no setting called `{name}`"
    label = "not one of its settings"
    help = "{near}"
    callee: str
    name: str
    near: str


class MissingArgument(Problem):
    code = "B005"
    title = "{callee} needs `{name}`"
    label = "`{name}` is not given here"
    help = "{way}"
    callee: str
    name: str
    way: str


class TooManyArguments(Problem):
    code = "B006"
    title = "{callee} takes {takes}, and gets {given}"
    label = "one too many"
    help = "it is written {form}"
    callee: str
    takes: str
    given: int
    form: str


class GivenTwice(Problem):
    code = "B007"
    title = "`{name}` is given twice"
    label = "once more here"
    help = "leave one of them out"
    name: str


class SizesDiffer(Problem):
    code = "B008"
    title = "{name} must be {wanted}, and this is {found}"
    label = "{clash}"
    help = "{way}"
    name: str
    wanted: str
    found: str
    clash: str
    way: str = ""


class NotAStage(Problem):
    code = "B009"
    title = "{found} cannot stand in a chain"
    label = "no tensor can pass through this"
    help = "{way}"
    found: str
    way: str


class NotKnownNow(Problem):
    code = "B010"
    title = "{what} must be known before the net runs"
    label = "{because}"
    help = "{way}"
    what: str
    way: str
    because: str = "this depends on what the net computes"


class RequireFailed(Problem):
    code = "B011"
    title = "{message}"
    label = "this asks for something that its definition refuses"
    message: str


class LabelsClash(Problem):
    code = "B012"
    title = "dim `{first}` meets dim `{second}`"
    label = "these two are aligned, and their names differ"
    help = "bring them into one order, or give both the same name"
    first: str
    second: str


class NoSuchDim(Problem):
    code = "B013"
    title = "{tensor} has no dim `{name}`"
    label = "no such dim"
    help = "its dims are {dims}{way}"
    tensor: str
    name: str
    dims: str
    way: str = ""


class WrongCount(Problem):
    code = "B014"
    title = "{left}, and {right}"
    label = "{left}"
    help = "{way}"
    left: str
    right: str
    way: str = "give as many names as there are values"


class UsesItself(Problem):
    code = "B015"
    title = "`{name}` is used to define itself"
    label = "this leads back to where it began"
    help = "a net has no recursion; `repeat` writes a part out several times"
    name: str


class NoResult(Problem):
    code = "B016"
    title = "{callee} ends without its result `{name}`"
    label = "`{name}` is promised here"
    help = "{way}"
    callee: str
    name: str
    way: str


class BoundTwice(Problem):
    code = "B017"
    title = "`{name}` is a {first} already"
    label = "and becomes a {second} here"
    help = "give one of them another name"
    name: str
    first: str
    second: str


class OutOfPlace(Problem):
    code = "B018"
    title = "{what} cannot stand here"
    label = "out of place"
    help = "{way}"
    what: str
    way: str


class NotYet(Problem):
    code = "B019"
    title = "{what}: not in this version"
    label = "known, but not built yet"
    help = "{way}"
    what: str
    way: str


class TooLarge(Problem):
    code = "B020"
    title = "{what}: {count} is more than the limit of {limit}"
    label = "this makes it so large"
    help = "a spec is counted while it is built, so that it cannot fill the memory"
    what: str
    count: str
    limit: str


WHY = "is a number too high? A spec is counted before it is built, so that it cannot fill the memory"


class TooManyLayers(TooLarge):
    code = "B080"
    help = f"{WHY} (`--limit layers=N` allows more)"


class TooManyTurns(TooLarge):
    code = "B081"
    help = f"{WHY} (`--limit turns=N` allows more)"


class TooManyLines(TooLarge):
    code = "B082"
    help = f"{WHY} (`--limit lines=N` allows more)"


class TooManyCalls(TooLarge):
    code = "B083"
    help = "give the inner parts fewer levels (`--limit calls=N` allows more)"


class TooManyNumbers(TooLarge):
    code = "B084"
    help = f"{WHY} (`--limit numbers=N` allows more)"


class TooLargeSize(TooLarge):
    code = "B085"
    help = f"{WHY} (`--limit dim=N` allows more)"


class TooManyDims(TooLarge):
    code = "B086"
    help = "merge some of them with `fold` (`--limit rank=N` allows more)"


class TooManyNodes(TooLarge):
    code = "B087"
    help = f"{WHY} (`--limit nodes=N` allows more)"


class NotAvailable(Problem):
    code = "B021"
    title = "`{name}` is bound in one branch only"
    label = "used here, but {phase} it does not exist"
    help = "bind it in both branches of `when training {{ … }} else {{ … }}`"
    name: str
    phase: str


class StaysInside(Problem):
    code = "B137"
    title = "`{name}` stays inside the scan: it is another in every step"
    label = "not known here"
    help = "carry it, and it is the whole sequence here: scan over {over} with …, {name} = zeros[b, 8] {{ … }}"
    name: str
    over: str


class DoesNotLearn(Problem):
    code = "B022"
    title = "there is nothing to learn: {why}"
    label = "this is what training makes small"
    help = "{way}"
    why: str
    way: str


class StateOutside(Problem):
    code = "B023"
    title = "the state `{name}` changes only while training"
    label = "written outside of `when training`"
    help = "put this line into `when training {{ … }}`"
    name: str


class LabelTwice(Problem):
    code = "B024"
    title = "the dim `{name}` stands twice in {type}"
    label = "which of the two is `{name}` elsewhere?"
    help = "call one of them by another name: [{name}, out = {name}]"
    name: str
    type: str


class PhasesDiffer(Problem):
    code = "B025"
    title = "the {what} `{path}` is {here} outside of training, and {there}"
    label = "it is made here"
    help = "what training learns is used everywhere else: make it before `when training`, with one size for all"
    what: str
    path: str
    here: str
    there: str


class NoNumbers(Problem):
    code = "B026"
    title = "`{name}` would hold no numbers at all: it is {dims}"
    label = "a size here is 0"
    help = "give every dim a size of 1 or more"
    name: str
    dims: str


# ---- index equations


class IndexSizes(Problem):
    code = "B090"
    title = "`{name}` is {here} here, and {there}"
    label = "this dim has the size {here}"
    help = "one index has one size in all of an equation: give one of the two another name, or change its tensor"
    name: str
    here: str
    there: str


class WrongIndices(Problem):
    code = "B091"
    title = "`{name}` has {has}, and is given {given}"
    label = "one index for each dim"
    help = "in an index equation every dim of a tensor has a name: x[b, i]"
    name: str
    has: str
    given: str


class IndexOffset(Problem):
    code = "B092"
    title = "{what} cannot be a subscript in an index equation"
    label = "an index stands alone: i, j"
    help = "{way}"
    what: str
    way: str


class NotIndexed(Problem):
    code = "B093"
    title = "`{name}` has the dims {dims}, and nothing says which index each of them is"
    label = "no subscripts"
    help = "{way}"
    name: str
    dims: str
    way: str


class LacksInside(Problem):
    code = "B094"
    title = "the index `{name}` is neither on the left, {left}, nor summed here"
    label = "this has a number for each `{name}`"
    help = "what stands inside a call or a comparison is summed by hand: write sum(…, over = {name})"
    name: str
    left: str


class SumsAll(Problem):
    code = "B099"
    title = "`{word}` without `over` takes all places at once, those of {names} as well"
    label = "one number for all of them"
    help = "say along which index: {word}(…, over = {over}); or bind it on a line above, where nothing has an index"
    word: str
    names: str
    over: str


class MixedSum(Problem):
    code = "B095"
    title = "one part of this sum has the index `{name}`, which the left side {left} lacks, and another has not"
    label = "what is summed over `{name}`: a part, or all?"
    help = "write sum(…, over = {name}) around what is summed"
    name: str
    left: str


class NoIndexSize(Problem):
    code = "B096"
    title = "nothing says how large the index `{name}` is"
    label = "`{name}` stands on the left alone"
    help = "{way}"
    name: str
    way: str


class IndexElsewhere(Problem):
    code = "B097"
    title = "the dim `{name}` is an index here, and the left side has none"
    label = "no place and no range"
    help = "an index equation has subscripts on its left: y[b, i] = x[b, i] * w[i]; a part is taken by places: x[0..3]"
    name: str
