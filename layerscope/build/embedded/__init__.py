"""The embedded builder: builds a Dockerfile into the embedded store, without an engine.

Each instruction is a step with its own image, as in Docker's classic builder. `history` and
configuration are written as by BuildKit, which all tools can read: `created_by` such as
`COPY a /b # buildkit`, `comment` `buildkit.dockerfile.v0`. Only RUN unpacks layers: other
instructions need the merged view, for which changesets suffice.

`builder` executes the steps: `metadata` those that only change the configuration, `copy_step`,
`copying` and `making` COPY and ADD, with `sources` and `owners`, and `commands` RUN. numpy and the
sandbox are imported on demand, since cached steps do not need them. `state` is the image so far.
"""
