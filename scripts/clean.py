"""`lai-clean` from a checkout."""

from lai.programs.clean import main

if __name__ == "__main__":
    main()
