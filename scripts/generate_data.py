"""`lai-generate-data` from a checkout."""

from lai.programs.generate_data import main

if __name__ == "__main__":
    main()
