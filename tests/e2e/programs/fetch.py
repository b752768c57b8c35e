"""fetch.py URL COUNT: fetches it COUNT times in eight threads; prints each body's SHA-256."""

import concurrent.futures
import hashlib
import sys
import urllib.request


def fetch(_):
    with urllib.request.urlopen(sys.argv[1], timeout=30) as answer:
        return hashlib.sha256(answer.read()).hexdigest()


with concurrent.futures.ThreadPoolExecutor(8) as threads:
    print("\n".join(threads.map(fetch, range(int(sys.argv[2])))))
