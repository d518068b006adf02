"""The Dockerfile as a user edits it: instructions with their ranges, problems, completion, help.

How a document is read: `lines` joins the physical lines of an instruction as BuildKit does, and
keeps where each piece came from; `words` splits joined text; `parser` makes a `Document` of it,
which never fails, whatever stands in the text. `stages`, `scope` and `expand` answer questions to
a document; `complete`, `help` and `format` serve an editor; `check_…` find problems and `lint`
puts them in order. `ignore`, `context` and `context_tar` are what a builder sees of a folder.
`reverse` goes the other way, from an image to a Dockerfile.

The document has a reader of its own rather than a grammar's tree: what an instruction means is
defined by BuildKit's reading line by line (escape directives, comments inside of continuations,
JSON or else a shell's text), and a grammar for editors is right about colours only. That is what
`colours` uses one for.
"""
