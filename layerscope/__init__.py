"""layerscope: what every layer of a container image adds, in a terminal.

One core, two front ends. Imports point down this list only, held by import-linter:

    cli            the parser of the command line
    tui, commands  the Textual app; what each command does
    reports        text and JSON of what the core found; the CI gate
    build          a build as steps and events, one module for each builder; each step's layer
                   measured while the next one runs; what broke the cache since the last build
    jobs           work that outlives the terminal that started it: a process and a journal
    dockerfile     the document as a user edits it; the build context; a document from a history
    engines        what can list images, export and build them; opens what a user names as SOURCE
    images         Image, Layer, History, every place an image can be read from, and the cache
    filesystem     changeset: one layer's changes in columns; stack: layers on top of each other,
                   the union at any height, every version of every path; waste; what a screen shows
    oci            the formats: references, manifests, configurations, tar headers, compression
    content        one file's bytes: what kind it is, its lines, what is found in it, highlighting,
                   the packages that a database of dpkg, apk or rpm names
    config         settings, and the folders of settings, cache and state
    text, errors   words for people

`content` stands beside `oci`: neither knows of the other. `oci`, `content` and `filesystem` are
functions on bytes and arrays and know of no engine. `textual` is imported in `tui` alone, `docker`
in `engines`.

How a layer is read: `oci.tar_scan` finds headers, seeking over content; `oci.tar_columns` decodes
thousands of them at a time; `filesystem.tar_changeset` makes a changeset of them.
`filesystem.apply` puts changesets on top of each other: all paths are one tree numbered depth
first, so everything below a path is a range of numbers, and what a layer hides, what a folder
holds and what a screen shows are sums over ranges.
"""

__version__ = "0.1.0"
