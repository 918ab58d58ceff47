"""`lai-clean-data` from a checkout."""

from lai.programs.clean_data import main

if __name__ == "__main__":
    main()
