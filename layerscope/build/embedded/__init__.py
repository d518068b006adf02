"""The embedded builder: a Dockerfile becomes an image of the embedded store, with no engine.

Each instruction is a step with an image of its own, as with Docker's classic builder, and `history`
and configuration are written as BuildKit writes them, which every tool reads: `created_by` such as
`COPY a /b # buildkit`, `comment` `buildkit.dockerfile.v0`. Nothing is unpacked for instructions
other than RUN: they need the merged view, of which changesets are enough.

`builder` executes the steps: `metadata` those that change the configuration only, `copy_step`,
`copying` and `making` COPY and ADD, with `sources` and `owners`, and `commands` RUN. What a step in
the cache does not need is imported when it is: numpy and the sandbox. `state` is the image so far.
"""
