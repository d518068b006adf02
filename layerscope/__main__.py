"""`python -m layerscope`, and the command `layerscope`."""

import os
import signal
import sys


def main() -> int:
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # A background job ignores it, and still should.
        # An interrupt while modules are imported would show a traceback.
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from layerscope import cli

    signal.signal(signal.SIGINT, before)
    code = cli.main()
    if code == cli.BROKEN_PIPE:
        # Ends as other programs do when the reader of their output is gone.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    return code


if __name__ == "__main__":
    sys.exit(main())
