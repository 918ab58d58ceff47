"""`lai-download-data` from a checkout."""

from lai.programs.download_data import main

if __name__ == "__main__":
    main()
