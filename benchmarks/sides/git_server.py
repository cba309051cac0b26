"""The git server of the tests, for git_transaction.py: `git_server.py FOLDER PORT` serves the repositories in it."""

import sys
from pathlib import Path


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.harness.servers import GitServer

    GitServer(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()


if __name__ == "__main__":
    main()
