"""`lai-show-batch` from a checkout."""

from lai.programs.show_batch import main

if __name__ == "__main__":
    main()
