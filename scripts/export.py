"""`lai-export` from a checkout."""

from lai.programs.export import main

if __name__ == "__main__":
    main()
