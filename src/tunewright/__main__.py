"""`python -m tunewright`: the same as the command, for where scripts are not on the path."""

from tunewright.cli import main

if __name__ == "__main__":
    main()
