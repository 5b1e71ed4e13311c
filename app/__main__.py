"""`python -m app`: the command line."""

import gc

if __name__ == "__main__":
    # What imports make stays: to look through it for rubbish is a tenth of a start, for nothing.
    gc.disable()
    from app.cli import main

    gc.freeze()
    gc.enable()
    main()
