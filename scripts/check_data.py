"""`lai-check-data` from a checkout."""

from lai.programs.check_data import main

if __name__ == "__main__":
    main()
