"""`lai-evaluate` from a checkout."""

from lai.programs.evaluate import main

if __name__ == "__main__":
    main()
