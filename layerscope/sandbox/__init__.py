"""Runs a command on a stack of layers, with whatever this host allows, and gives back the changes.

`running.Sandbox` is the way in. A worker process (`worker`) enters namespaces, mounts the layers
and forks; the child (`inside`) makes the root folder and becomes the command. Nothing but the
kernel is needed: system calls are made here (`kernel`), and ownership is emulated by a filter
(`ownership`) where a user has one id only. `rungs` finds the best way that works; `kept` is a run
whose changes stay.
"""
