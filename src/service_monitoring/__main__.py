"""`python -m service_monitoring`: the command line."""

from service_monitoring.cli import main

if __name__ == "__main__":
    main()
