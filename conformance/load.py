"""Steady requests from inside the cluster: `python load.py URL ROWS SECONDS` prints how many were asked and lost.

It runs in a pod of the project's image, with the standard library only.
"""

import json
import sys
import time
import urllib.error
import urllib.request


def main(url: str, rows: str, seconds: str) -> None:
    asked, lost, end = 0, list[str](), time.monotonic() + float(seconds)
    while time.monotonic() < end:
        asked += 1
        request = urllib.request.Request(url, rows.encode(), {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=30).read()
        except (urllib.error.URLError, OSError) as error:
            lost.append(str(error))
    print(json.dumps({"asked": asked, "lost": lost[:20], "count": len(lost)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
