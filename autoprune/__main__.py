"""`python -m autoprune` is the command `autoprune`."""

from autoprune.cli import main

if __name__ == "__main__":
    main()
