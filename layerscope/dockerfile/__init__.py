"""The Dockerfile: parsing, variables and stages, checks, the build context, and editing.

`syntax` parses a document. `lines` joins the physical lines of an instruction as BuildKit does and
keeps the position of each piece, `words` splits the joined text, and `parser` creates a `Document`;
it accepts any text. `meaning` answers questions about a document (`scope`, `stages`) and goes the
other way, from an image's history to a Dockerfile (`reverse`). `checks` finds problems; `lint` runs
the checks, `support` lists the features of each builder, and `overruled` filters false positives of
hadolint. `context` finds the rules as each builder does (`conventions`) and packs the build
context. `editing` serves an editor.

The parser is written by hand because BuildKit defines the meaning of an instruction line by line
(escape directives, comments inside continuations, JSON or else shell text), which editors' grammars
do not follow. `editing.highlight` uses such a grammar, for colours only.
"""
