"""`lai-build-vocab` from a checkout."""

from lai.programs.build_vocab import main

if __name__ == "__main__":
    main()
