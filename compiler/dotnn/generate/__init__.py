"""Generation: a net that predicts the next token writes texts, one token after another, at the same cost each.

`reach` finds which tokens each value of the predict graph looks at, `step` derives the graphs `start` and `next` from
it, `choose` is the graph that draws a token, `plan` finds out what of a spec is generated, `write` is the host's part.
"""
