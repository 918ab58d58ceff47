"""`lai-plot` from a checkout."""

from lai.programs.plot import main

if __name__ == "__main__":
    main()
