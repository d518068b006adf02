"""layerscope shows what each layer of a container image adds, in a terminal.

One core, two front ends. Imports only point down this list; import-linter verifies that:

    manual         the manual page
    cli            the command line: every command
    options        every argument and option
    parser         parsers, and their help
    process        a command's streams, signals and threads
    tui, commands  the Textual app, a room for each screen; the implementation of each command
    output, help   stdout and the pager; the help topics
    reports        the core's results as text and JSON; the CI gate
    build          a build as steps and events, one module for each builder, and a room for ours
                   (embedded); measures each step's layer while the next one runs; explains what
                   broke the cache since the last build
    transfer       pulls and pushes as events, a row for each layer; estimates of their size
    jobs           long work that outlives its terminal: a process and a journal
    dockerfile     syntax (parser, words), meaning (variables, stages), checks, context
                   (.dockerignore, packing), editing (completion, formatting, help)
    engines        list, export, build and remove images; opens what a user names as SOURCE;
                   embedded: our own store, an OCI image layout; remote: images of an engine
                   behind ssh, which the layerscope there reads
    sandbox        runs one command on a stack of layers, by any means this host allows; returns
                   the changes
    surgery        an image made from another: layers squashed, paths dropped, another base
    images         Image, Layer and History, and every place an image is read from: archives,
                   registry, stores (of engines, on disk), containers; files (content, extraction,
                   packages); cache (parsed data)
    filesystem     changeset: one layer's changes, in columns; stack: layers on top of each other,
                   the merged view at any height, every version of every path; waste
    oci            the formats: references, manifests, configurations, tar headers, compression
    content        one file's bytes: its kind, lines, matches, highlighting, and the packages in a
                   database of dpkg, apk or rpm
    config, logs   settings, and the folders of settings, cache and state; the log
    patterns       globs, and regular expressions in linear time
    records        JSON files as checked records: jobs, events, contexts
    writing        files that are complete or absent, temporary folders that are always removed
    text, errors   text that is safe to show; errors that users can act on
    status_line    the line that shows the current step
    programs       runs external programs, with limits on time and output
    bounded        reads untrusted files and lines within bounds
    redaction      keeps secrets out of messages and logs

`oci` and `content` do not know each other. `oci`, `content` and `filesystem` are functions on bytes
and arrays and know no engine. `textual` and `rich` are imported in `tui` only, `docker` in
`engines` only.

How a layer is read: `oci.tar_scan` finds headers and seeks over content; `oci.tar_columns` decodes
thousands of headers at a time; `filesystem.tar_changeset` builds a changeset from them.
`filesystem.apply` puts changesets on top of each other: all paths are one tree, numbered depth
first, so everything below a path is a range of numbers, and hidden paths, folder contents and
screens are sums over ranges.
"""

__version__ = "0.1.0"
