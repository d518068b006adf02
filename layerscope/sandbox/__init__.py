"""Runs a command on a stack of layers, in the best way this host allows, and returns the changes.

The entry point is `running.Sandbox`. A worker process (`worker`) enters namespaces, mounts the
layers and forks; the child (`inside`) sets up the root folder and executes the command. Only the
kernel is needed: `kernel` makes system calls, and a filter (`ownership`) emulates ownership for
users with a single id. `rungs` finds the best way that works; `kept` is a run whose changes stay.
"""
